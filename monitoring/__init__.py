"""Watching the system: frames of what happens, Evidently's reports on them, plain numbers."""
