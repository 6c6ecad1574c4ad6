"""Task of click-through prediction: training, validation and test rows, and the items' texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.ctr.features.word_vectors import word_vectors
from recloop.ctr.log import Floats, Log
from recloop.ctr.models.factors import compress

TEXT_WIDTH = 64


@dataclass(frozen=True)
class Problem:
    """Rows of the three parts and the items' texts.

    Attributes:
        train: Training rows.
        valid: Validation rows.
        test: Test rows.
        shape: Numbers of users and items.
        text: Unit text vectors, `(items, at most 64)`, float32; None if there are no texts.
    """

    train: Log
    valid: Log
    test: Log
    shape: tuple[int, int]
    text: Floats | None

    @property
    def train_and_valid(self) -> Log:
        """Training and validation rows, whose labels may be learned from."""
        return joined(self.train, self.valid)

    @classmethod
    def from_frame(
        cls,
        interactions: pl.DataFrame,
        texts: Sequence[str],
        text_vectors: NDArray[np.float32] | None = None,
    ) -> "Problem":
        """Convert a frame and texts.

        Args:
            interactions: Columns user, item, order, label, split (train, valid or test), and
                optionally weight.
            texts: Text of each item.
            text_vectors: Text vectors, `(items, width)`; made of the texts' words if not given.

        Raises:
            ValueError: A part is empty, or training or validation rows have one label only.
        """
        parts = [
            Log.from_frame(interactions.filter(pl.col("split") == part))
            for part in ("train", "valid", "test")
        ]
        for name, log in zip(("train", "valid", "test"), parts, strict=True):
            if not len(log):
                raise ValueError(f"there are no rows whose split is {name}")
            if name != "test" and np.unique(log.labels).tolist() != [0.0, 1.0]:
                raise ValueError(
                    f"the labels of the {name} rows must be 0 and 1, and both must occur"
                )
        users = int(interactions["user"].to_numpy().max()) + 1
        vectors = text_vectors if text_vectors is not None else word_vectors(texts, TEXT_WIDTH)
        rows = 0 if vectors is None else len(vectors)
        items = max(int(interactions["item"].to_numpy().max()) + 1, len(texts), rows)
        if vectors is None:
            return cls(parts[0], parts[1], parts[2], (users, items), None)
        text = np.pad(compress(vectors, TEXT_WIDTH), ((0, items - rows), (0, 0)))
        if any(texts):
            text[: len(texts)][[not each for each in texts]] = 0.0
        return cls(parts[0], parts[1], parts[2], (users, items), text)


def joined(first: Log, second: Log) -> Log:
    """Return the rows of both, those of the first before those of the second."""
    return Log(
        np.concatenate([first.users, second.users]),
        np.concatenate([first.items, second.items]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.order, second.order]),
        np.concatenate([first.weights, second.weights]),
    )
