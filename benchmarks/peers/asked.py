"""The requests of a folder, as `recloop evaluate` asks them, in a form that every peer can read."""

from pathlib import Path
from typing import Literal

import polars as pl

from recloop import columns as c
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.data.interaction_log import TEST_PART, VALID_PART
from recloop.data.split import HISTORY
from recloop.evaluation.evaluation_requests import Requests

PARTS = {"valid": VALID_PART, "test": TEST_PART}


def make_requests(
    folder: Path, part: Literal["valid", "test"], protocol: Protocol, *, repeats: bool
) -> pl.DataFrame:
    """request, user_id, history (oldest first), relevant: ids as the folder has them."""
    data = read_folder(folder)
    log, moments = data.log(repeats=repeats), protocol == "temporal"
    asked = Requests.about(log, PARTS[part], moments=moments, repeats=repeats)
    ids = data.items[c.ITEM]
    return pl.DataFrame(
        {
            "request": range(len(asked.histories)),
            c.USER: data.users.gather(log.users.gather(asked.user_numbers())),
            HISTORY: pl.Series(
                [ids.gather(rows) for rows in asked.histories], dtype=pl.List(ids.dtype)
            ),
            c.RELEVANT: [ids.gather(rows) for rows in asked.relevant],
        }
    )
