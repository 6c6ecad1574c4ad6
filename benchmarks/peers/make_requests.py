"""Validation and test requests of `recloop evaluate`, in a form that every peer can read."""

from pathlib import Path
from typing import Literal

import polars as pl

from recloop import columns as c
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.data.interaction_log import TEST_PART, VALID_PART
from recloop.data.split import HISTORY
from recloop.evaluation.evaluation_requests import Requests

Part = Literal["valid", "test"]
PARTS: dict[Part, int] = {"valid": VALID_PART, "test": TEST_PART}


def make_requests(folder: Path, part: Part, protocol: Protocol, *, repeats: bool) -> pl.DataFrame:
    """Return the requests of one part of a folder's split.

    Returns:
        request (its number), user_id, history (oldest first) and relevant, with the folder's ids.
    """
    data = read_folder(folder)
    log, by_time = data.log(repeats=repeats), protocol == "temporal"
    requests = Requests.from_log(log, PARTS[part], group_by_time=by_time, repeats=repeats)
    ids = data.items[c.ITEM]
    return pl.DataFrame(
        {
            "request": range(len(requests.histories)),
            c.USER: data.users.gather(log.users.gather(requests.user_numbers())),
            HISTORY: pl.Series(
                [ids.gather(rows) for rows in requests.histories], dtype=pl.List(ids.dtype)
            ),
            c.RELEVANT: [ids.gather(rows) for rows in requests.relevant],
        }
    )
