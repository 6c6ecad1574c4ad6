"""Events, served lists and live items, on disk."""
