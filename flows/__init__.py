"""Prefect flows of the loop, and the commands that start the system on one machine."""
