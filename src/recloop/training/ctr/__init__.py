"""Click-through prediction: features that never look ahead, boosting over them, and baselines."""
