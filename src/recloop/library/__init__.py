"""Python interface for use without a server; its names are exported by `recloop`."""
