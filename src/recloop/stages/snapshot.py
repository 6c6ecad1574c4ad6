"""Stage that takes a snapshot of the source, the stored feedback and the live items."""

import polars as pl

from recloop import columns as c
from recloop.config import read_block
from recloop.data.snapshot import SnapshotConfig, pseudonymise_source, take_snapshot
from recloop.data.sources import open_source
from recloop.logs import get_log
from recloop.settings import read_settings
from recloop.stages import files
from recloop.store.event_store import EventStore
from recloop.store.item_store import ItemStore
from recloop.store.user_id_scheme import load_pseudonyms


def main() -> None:
    """Take a snapshot.

    Reads the source and the event store; writes data/snapshot.
    """
    config, settings = read_block("snapshot", SnapshotConfig), read_settings()
    store, sources = EventStore.of(settings.home), settings.home.sources
    pseudonyms = load_pseudonyms(store, settings)
    raw = pseudonymise_source(open_source(config.source, str(sources)).read(), pseudonyms)
    feedback, (live_items, _) = store.feedback(), ItemStore(store.engine).changes(after=0)
    snapshot = take_snapshot(raw, feedback.events, config, feedback.erasures, live_items)
    files.empty_folder(files.SNAPSHOT)
    snapshot.interactions.write_parquet(files.INTERACTIONS)
    snapshot.items.write_parquet(files.ITEMS)
    snapshot.feedback.write_parquet(files.FEEDBACK)
    snapshot.quarantine.write_parquet(files.QUARANTINE)
    files.write_json(
        files.SNAPSHOT_INFO,
        {
            "interactions": snapshot.interactions.height,
            "items": snapshot.items.height,
            "users": snapshot.interactions[c.USER].n_unique(),
            "naming": pseudonyms.scheme,
            "feedback": snapshot.feedback.height,
            "live_items": len(live_items),
            "feedback_until": feedback.until,
            "erased": {
                "source": snapshot.erased_source_rows,
                "feedback": snapshot.erased_feedback_rows,
            },
            "quarantined": snapshot.quarantine.height,
            "quarantined_share": snapshot.quarantined_share,
            "from": str(snapshot.interactions[c.TIME].min()),
            "until": str(snapshot.interactions[c.TIME].max()),
            "reasons": _reasons(snapshot.quarantine),
        },
    )
    get_log("snapshot").info(
        "taken", interactions=snapshot.interactions.height, quarantined=snapshot.quarantine.height
    )


def _reasons(quarantine: pl.DataFrame) -> dict[str, int]:
    counts = quarantine.group_by(c.REASON).len().sort(c.REASON)
    return dict(zip(counts[c.REASON], counts["len"], strict=True))


if __name__ == "__main__":
    main()
