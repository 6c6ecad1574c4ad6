"""ASGI middleware of the service: headers, authentication, rate limits and access telemetry."""
