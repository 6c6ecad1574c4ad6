"""Packaged models: their files, their versions, and which of them serves."""
