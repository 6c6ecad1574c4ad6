"""Sources: where interactions and items come from, behind one interface."""

from recloop.data.sources.base import RawData, Source, SourceConfig, SourceError
from recloop.data.sources.folder import FolderSource
from recloop.data.sources.movielens import MovieLens100K

__all__ = ["RawData", "Source", "SourceConfig", "SourceError", "open_source"]


def open_source(config: SourceConfig, downloads: str) -> Source:
    """The adapter that `config.kind` names; `downloads` is where fetched data is kept."""
    if config.kind == "movielens-100k":
        return MovieLens100K(downloads)
    return FolderSource(config)
