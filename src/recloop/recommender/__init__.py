"""The scoring path: state → scores → rules → ranked list. No HTTP, no disk."""
