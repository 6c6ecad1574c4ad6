"""Robustness of the service: faults, hostile requests, a long run, a rolling update."""
