"""Speed of the service under load."""
