"""Events and served lists, on disk."""
