"""A data set in a folder, and every model put through it: what `recloop evaluate` does."""
