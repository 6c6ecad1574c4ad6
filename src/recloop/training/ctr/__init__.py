"""Click-through prediction: features that never look ahead, boosting over them, and baselines."""

from recloop.training.ctr.predict import CtrConfig, contestants, predict_test
from recloop.training.ctr.problem import Problem

__all__ = ["CtrConfig", "Problem", "contestants", "predict_test"]
