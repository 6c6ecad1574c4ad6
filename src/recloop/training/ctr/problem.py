"""The task as it is given: training, validation and test rows, and what items say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.models.ctr.factors import compress
from recloop.models.ctr.log import Floats, Log
from recloop.models.ctr.words import word_vectors

TEXT_WIDTH = 64


@dataclass(frozen=True)
class Problem:
    """Rows of the three parts, `(users, items)`, and unit text vectors `(items, ≤ 64)` if any."""

    train: Log
    valid: Log
    test: Log
    shape: tuple[int, int]
    text: Floats | None

    @property
    def known(self) -> Log:
        """Training and validation rows: all whose labels may be learned from."""
        return joined(self.train, self.valid)

    @classmethod
    def from_frame(
        cls,
        interactions: pl.DataFrame,
        texts: Sequence[str],
        text_vectors: NDArray[np.float32] | None = None,
    ) -> "Problem":
        """From columns user, item, order, label, split (train, valid, test), optionally weight.

        Without `text_vectors` `(items, width)` the words of `texts` make them.

        Raises:
            ValueError: a part is empty, or training or validation rows have one label only.
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
            text[: len(texts)][[not said for said in texts]] = 0.0
        return cls(parts[0], parts[1], parts[2], (users, items), text)


def joined(first: Log, second: Log) -> Log:
    """One after the other."""
    return Log(
        np.concatenate([first.users, second.users]),
        np.concatenate([first.items, second.items]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.order, second.order]),
        np.concatenate([first.weights, second.weights]),
    )
