"""Versions of packaged models, kept in BentoML's model store."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from recloop.config import Home
from recloop.recommender.recommender import Recommender
from recloop.registry.card import Card
from recloop.registry.champion import Champion, read_champion, write_champion
from recloop.registry.manifest import (
    CHECKPOINT,
    MANIFEST,
    PAYLOAD,
    REFERENCE,
    Lineage,
    Manifest,
    seal,
    verify,
)
from recloop.registry.payload import CARD, Payload

NAME = "recloop"


class UnknownVersionError(KeyError):
    """There is no model of that version."""


class UsersNamedOtherwiseError(RuntimeError):
    """A model knows users under another key for pseudonyms, or under none."""


class Registry:
    """Packaged models of one home, numbered v1, v2, … in the order of their registration.

    `naming`: how whoever lets them serve names users; None where nobody is asked about.
    """

    def __init__(self, home: Home, naming: str | None = None) -> None:
        self._home = home
        self._naming = naming
        os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
        home.models.joinpath("models").mkdir(parents=True, exist_ok=True)

    def next_version(self, taken: Iterable[str] = ()) -> str:
        """The number after the newest version, here or among those `taken` elsewhere."""
        return f"v{max((int(v[1:]) for v in [*self.versions(), *taken]), default=0) + 1}"

    def register(
        self,
        version: str,
        payload: Path,
        reference: Path,
        lineage: Lineage,
        checkpoint: Path | None = None,
    ) -> Manifest:
        """Copy a model's files into the store as `version`; complete or not there at all.

        With its `checkpoint`, later models can continue its training.
        """
        # Both are heavy; and BentoML's own default store is fixed by the first home that it meets.
        import bentoml  # noqa: PLC0415
        from bentoml._internal.models import ModelStore  # noqa: PLC0415

        if not self._folder(version).joinpath(MANIFEST).exists():
            shutil.rmtree(
                self._folder(version), ignore_errors=True
            )  # a registration that was killed
        store = ModelStore(str(self._home.models / "models"))
        with bentoml.models.create(f"{NAME}:{version}", _model_store=store) as model:
            shutil.copytree(payload, Path(model.path) / PAYLOAD)
            shutil.copytree(reference, Path(model.path) / REFERENCE)
            if checkpoint is not None:
                shutil.copytree(checkpoint, Path(model.path) / CHECKPOINT)
        return seal(self._folder(version), version, lineage)

    def versions(self) -> list[str]:
        """Every complete version, oldest first."""
        found = self._folder("").glob(f"v*/{MANIFEST}")
        return sorted((path.parent.name for path in found), key=lambda version: int(version[1:]))

    def find(self, model_hash: str) -> str | None:
        """The version that holds exactly this model, if there is one."""
        for version in self.versions():
            if self.manifest(version).lineage.model_hash == model_hash:
                return version
        return None

    def manifest(self, version: str) -> Manifest:
        """The manifest as it is stored. Raises UnknownVersionError."""
        path = self.path(version) / MANIFEST
        return Manifest.model_validate_json(path.read_bytes())

    def card(self, version: str) -> Card:
        """The small numbers of a version. Raises UnknownVersionError."""
        return Card.model_validate_json(self.path(version).joinpath(PAYLOAD, CARD).read_bytes())

    def path(self, version: str) -> Path:
        """The folder of a version. Raises UnknownVersionError."""
        folder = self._folder(version)
        if not (folder / MANIFEST).exists():
            raise UnknownVersionError(f"there is no model version {version!r}")
        return folder

    def check(self, version: str) -> None:
        """Compare every file with its checksum, and how users are named.

        Raises:
            UnknownVersionError, CorruptModelError, UsersNamedOtherwiseError
        """
        held = verify(self.path(version)).lineage.naming
        if self._naming not in {None, held}:
            raise UsersNamedOtherwiseError(
                f"{version} knows users as {held}, not as {self._naming}; a retrain makes one that does"
            )

    def load(self, version: str) -> Recommender:
        """The model, once `check` lets it pass. Raises what that raises."""
        self.check(version)
        return Payload.load(self.path(version) / PAYLOAD).recommender()

    def champion(self) -> Champion | None:
        """Which version serves."""
        return read_champion(self._home.champion)

    def promote(self, version: str, reasons: list[str]) -> Champion:
        """Let a version serve, once `check` lets it pass. Raises what that raises."""
        self.check(version)
        return write_champion(self._home.champion, version, reasons)

    def _folder(self, version: str) -> Path:
        return self._home.models / "models" / NAME / version
