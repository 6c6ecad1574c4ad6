"""Sources: where interactions and items come from, behind one interface."""

from recloop.data.sources.base import RawData, Source, SourceConfig, SourceError
from recloop.data.sources.folder import FolderSource
from recloop.data.sources.movielens import MovieLens100K

__all__ = ["RawData", "Source", "SourceConfig", "SourceError", "open_source"]


def open_source(config: SourceConfig, downloads: str) -> Source:
    """Return the source that `config.kind` names.

    Args:
        config: Settings of the source.
        downloads: Folder for downloaded data.

    Raises:
        SourceError: The settings name no folder where the kind needs one.
    """
    if config.kind == "movielens-100k":
        return MovieLens100K(downloads)
    return FolderSource(config)
