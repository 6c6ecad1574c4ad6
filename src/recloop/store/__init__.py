"""Storage of events, served lists, changed items and API keys in a database."""
