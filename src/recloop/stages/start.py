"""Stage that copies the checkpoint from which training continues, if there is one.

The retrain flow names the version, because it depends on the champion, and forces this stage, as it
forces the snapshot.
"""

import shutil

import polars as pl

from recloop import columns as c
from recloop.logs import get_log
from recloop.registry.manifest import CHECKPOINT, PAYLOAD
from recloop.registry.payload import ITEMS
from recloop.registry.versions import Registry
from recloop.settings import read_settings
from recloop.stages import files


def main() -> None:
    """Copy the checkpoint of a registered version.

    Reads the registry; writes artifacts/start. Raises the errors of `Registry.check`.
    """
    settings = read_settings()
    version = settings.start
    start = files.empty_folder(files.START)
    if version is None:
        files.write_json(files.START_INFO, {"version": None, "learned_until": None})
        return
    registry = Registry(settings.home)
    registry.check(version)
    folder = registry.path(version)
    model_config = registry.config(version)
    files.write_json(
        files.START_INFO,
        {"version": version, "learned_until": model_config.tuned_until.isoformat()},
    )
    for name in (files.TUNED, files.ENCODER, files.SETTINGS):
        shutil.copy(folder / CHECKPOINT / name, start / name)
    items = pl.read_parquet(folder / PAYLOAD / ITEMS, columns=[c.ITEM])
    items.write_parquet(files.START_ITEMS)
    get_log("start").info("training continues", version=version, items=items.height)


if __name__ == "__main__":
    main()
