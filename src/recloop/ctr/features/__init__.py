"""Features of (user, item) pairs, computed from past interactions only."""
