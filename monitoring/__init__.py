"""Monitoring: frames of served lists and interactions, and Evidently's drift reports on them."""
