"""Lay out what training continues from: the checkpoint of an earlier model, or nothing.

The loop says which, for that depends on what serves; it forces this stage, as it does the snapshot.
"""

import os
import shutil

import polars as pl

from recloop import columns as c
from recloop.config import Home
from recloop.logs import get_log
from recloop.registry.card import Card
from recloop.registry.manifest import CHECKPOINT, PAYLOAD
from recloop.registry.payload import CARD, ITEMS
from recloop.registry.store import Registry
from recloop.stages import files

# The version to continue from; unset or empty: none, training starts from scratch.
VARIABLE = "RECLOOP_START"


def main() -> None:
    """The registry's version → artifacts/start. Raises UnknownVersionError, CorruptModelError."""
    version = os.environ.get(VARIABLE) or None
    start = files.fresh(files.START)
    if version is None:
        files.write_json(files.START_FACTS, {"version": None, "learned_until": None})
        return
    registry = Registry(Home.from_environment())
    registry.check(version)
    folder = registry.path(version)
    card = Card.model_validate_json(folder.joinpath(PAYLOAD, CARD).read_bytes())
    files.write_json(
        files.START_FACTS, {"version": version, "learned_until": card.tuned_until.isoformat()}
    )
    for name in (files.TUNED, files.ENCODER):
        shutil.copy(folder / CHECKPOINT / name, start / name)
    items = pl.read_parquet(folder / PAYLOAD / ITEMS, columns=[c.ITEM])
    items.write_parquet(files.START_ITEMS)
    get_log("start").info("training continues", version=version, items=items.height)


if __name__ == "__main__":
    main()
