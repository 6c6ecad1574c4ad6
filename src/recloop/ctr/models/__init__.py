"""Click-through models: additive, low-rank, linear and gradient boosting."""
