"""Click-through prediction: features of past interactions, gradient boosting and baselines."""

from recloop.ctr.predict import CtrConfig, ctr_models, predict_test
from recloop.ctr.problem import Problem

__all__ = ["CtrConfig", "Problem", "ctr_models", "predict_test"]
