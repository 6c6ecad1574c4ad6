"""Execution of one request within its deadline: thread pools, fallbacks and the circuit breaker."""
