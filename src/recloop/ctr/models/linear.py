"""Ridge logistic regression on standardised features, which is averaged with the trees."""

import numpy as np

from recloop.ctr.log import Doubles, Floats

_CLIP = 4.0
_SPREAD = 1e-6
_TOLERANCE = 1e-9


class Linear:
    """Fitted model, `log-odds = standardised features · slopes + intercept`.

    Unknown features (NaN or infinite) count as the mean of their column.

    Args:
        features: Features, `(rows, width)`.
        labels: 0 or 1, `(rows,)`; both must occur.
        l2: Ridge penalty of the slopes; the intercept has none.
    """

    def __init__(self, features: Floats, labels: Floats, l2: float) -> None:
        from sklearn.linear_model import LogisticRegression

        finite = np.isfinite(features)
        count = np.maximum(finite.sum(0), 1)
        self._mean = np.where(finite, features, 0).sum(0, dtype=np.float64) / count
        square = np.where(finite, features - self._mean, 0.0) ** 2
        self._spread = np.sqrt(square.sum(0) / count) + _SPREAD
        model = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=_TOLERANCE)
        self._model = model.fit(self._standardised(features), labels)

    def scores(self, features: Floats) -> Doubles:
        """Return log-odds, `(rows,)`, float64."""
        scores: Doubles = self._model.decision_function(self._standardised(features))
        return scores

    def _standardised(self, features: Floats) -> Doubles:
        scaled = np.nan_to_num((features - self._mean) / self._spread, posinf=0.0, neginf=0.0)
        clipped: Doubles = np.clip(scaled, -_CLIP, _CLIP)
        return clipped
