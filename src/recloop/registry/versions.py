"""Versions of packaged models, kept in BentoML's model store."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from recloop.config import Home
from recloop.recommender.recommender import Recommender
from recloop.registry.champion import Champion, read_champion, write_champion
from recloop.registry.manifest import (
    CHECKPOINT,
    MANIFEST,
    PAYLOAD,
    REFERENCE,
    CorruptModelError,
    Lineage,
    Manifest,
    ModelFormatError,
    seal,
    verify,
)
from recloop.registry.model_config import ModelConfig, read_model_config
from recloop.registry.payload import Payload

NAME = "recloop"


# Other folders of the model store, such as a copy, are no versions.
_VERSION = re.compile(r"v[1-9][0-9]*")


class UnknownVersionError(KeyError):
    """There is no model of that version."""


class UserIdsDifferError(RuntimeError):
    """A model identifies users under another key for pseudonyms, or without one."""


class Registry:
    """Packaged models of one home, numbered v1, v2, … in the order of their registration.

    Args:
        home: Home with the models.
        naming: User id scheme that a model must have. None: any scheme is accepted.
    """

    def __init__(self, home: Home, naming: str | None = None) -> None:
        self._home = home
        self._naming = naming
        os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
        home.models.joinpath("models").mkdir(parents=True, exist_ok=True)

    def next_version(self, taken: Iterable[str] = ()) -> str:
        """Return the version after the newest one, here or among those `taken` elsewhere."""
        return f"v{max((int(v[1:]) for v in [*self.versions(), *taken]), default=0) + 1}"

    def register(
        self,
        version: str,
        payload: Path,
        reference: Path,
        lineage: Lineage,
        checkpoint: Path | None = None,
    ) -> Manifest:
        """Copy a model's files into the model store.

        A registration that is interrupted leaves no version, since the manifest is written last.

        Args:
            version: Version of the model.
            payload: Folder with the files of the model.
            reference: Folder with the data that monitoring compares new data with.
            lineage: Origin of the model.
            checkpoint: Folder from which later models can continue the training.
        """
        # Both are slow to import. `ModelStore` has no public name in BentoML 1.4: its public
        # functions use one store for the process, in the BENTOML_HOME at the first import, but a
        # process can open several homes.
        import bentoml  # noqa: PLC0415
        from bentoml._internal.models import ModelStore  # noqa: PLC0415

        if not self._folder(version).joinpath(MANIFEST).exists():
            # A registration was interrupted.
            shutil.rmtree(self._folder(version), ignore_errors=True)
        store = ModelStore(str(self._home.models / "models"))
        with bentoml.models.create(f"{NAME}:{version}", _model_store=store) as model:
            shutil.copytree(payload, Path(model.path) / PAYLOAD)
            shutil.copytree(reference, Path(model.path) / REFERENCE)
            if checkpoint is not None:
                shutil.copytree(checkpoint, Path(model.path) / CHECKPOINT)
        return seal(self._folder(version), version, lineage)

    def versions(self) -> list[str]:
        """Return all complete versions, oldest first."""
        found = (path.parent.name for path in self._folder("").glob(f"v*/{MANIFEST}"))
        return sorted(filter(_VERSION.fullmatch, found), key=lambda version: int(version[1:]))

    def find(self, model_hash: str) -> str | None:
        """Return the usable version with a model hash, None if there is none."""
        for version in self.versions():
            same = self.manifest(version).lineage.model_hash == model_hash
            if same and self.problem(version) is None:
                return version
        return None

    def problem(self, version: str) -> str | None:
        """Return why a version cannot be loaded, in one sentence; None if it can be."""
        try:
            self.check(version)
            self.config(version)
        except (UnknownVersionError, CorruptModelError, ModelFormatError, UserIdsDifferError) as e:
            return str(e.args[0])
        except (OSError, ValueError) as e:
            return f"{version}: {e}"
        return None

    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a version, whatever its format.

        Raises:
            UnknownVersionError: There is no such version.
        """
        path = self.path(version) / MANIFEST
        return Manifest.model_validate_json(path.read_bytes())

    def config(self, version: str) -> ModelConfig:
        """Return the settings of a version.

        Raises:
            UnknownVersionError: There is no such version.
            ModelFormatError: The package has another format than this version of recloop reads.
        """
        return read_model_config(self.path(version) / PAYLOAD)

    def path(self, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            UnknownVersionError: There is no such version.
        """
        folder = self._folder(version)
        if not _VERSION.fullmatch(version) or not (folder / MANIFEST).exists():
            raise UnknownVersionError(f"there is no model version {version!r}")
        return folder

    def check(self, version: str) -> None:
        """Compare every file with its checksum, and the user id scheme with the registry's.

        Raises:
            UnknownVersionError: There is no such version.
            CorruptModelError: A file is missing, added or changed.
            ModelFormatError: The package has another format than this version of recloop reads.
            UserIdsDifferError: The model has another user id scheme.
        """
        scheme = verify(self.path(version)).lineage.naming
        if self._naming not in {None, scheme}:
            raise UserIdsDifferError(
                f"{version} knows users as {scheme}, not as {self._naming};"
                " run a retrain to replace it"
            )

    def load(self, version: str) -> Recommender:
        """Check a version and load its recommender. Raises the errors of `check`."""
        self.check(version)
        return Payload.load(self.path(version) / PAYLOAD).recommender()

    def champion(self) -> Champion | None:
        """Return the champion, None if no version was ever promoted."""
        return read_champion(self._home.champion)

    def loadable_champion(self) -> Champion | None:
        """Return the champion, None if there is none or it cannot be loaded."""
        champion = self.champion()
        return champion if champion and self.problem(champion.version) is None else None

    def promote(self, version: str, reasons: list[str]) -> Champion:
        """Check a version and make it the champion. Raises the errors of `check`."""
        self.check(version)
        return write_champion(self._home.champion, version, reasons)

    def _folder(self, version: str) -> Path:
        return self._home.models / "models" / NAME / version
