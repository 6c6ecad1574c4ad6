"""How everything behind the door knows users: by keyed hashes of their ids, where there is a key.

The key is a secret of the environment. It is in no settings file, no artifact and no log.
"""

import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from recloop.config import ConfigError
from recloop.data.erased import pseudonym

KEY, KEY_FILE = "RECLOOP_PSEUDONYM_KEY", "RECLOOP_PSEUDONYM_KEY_FILE"
# How data without pseudonyms name users: by their ids.
PLAIN = "plain"

_LEAST_BYTES = 32
# 128 bits: among a billion people, any two share one with a probability of 2e-21.
_DIGITS = 32
_FINGERPRINT_OF, _FINGERPRINT_DIGITS = "recloop naming", 16


@dataclass(frozen=True)
class Pseudonyms:
    """HMAC-SHA-256 (RFC 2104), the first half of it, in hexadecimal; without a key the ids themselves."""

    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ConfigError on a key that could be guessed."""
        if self.key is not None and len(self.key) < _LEAST_BYTES:
            raise ConfigError(
                f"the key in {KEY} or {KEY_FILE} has {len(self.key)} bytes; it needs {_LEAST_BYTES},"
                " such as `openssl rand -hex 32` makes"
            )

    @classmethod
    def from_environment(cls) -> "Pseudonyms":
        """With the key in RECLOOP_PSEUDONYM_KEY, or in the file that RECLOOP_PSEUDONYM_KEY_FILE names.

        Raises:
            ConfigError: both are set, the file cannot be read, or the key is too short. An empty one is.
        """
        key, file = os.environ.get(KEY), os.environ.get(KEY_FILE)
        if key is not None and file is not None:
            raise ConfigError(f"{KEY} and {KEY_FILE} are both set; one of them holds the key")
        if file is not None:
            try:
                key = Path(file).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise ConfigError(f"{KEY_FILE}: cannot read {file!r}") from error
        return cls(None if key is None else key.strip().encode())

    @property
    def naming(self) -> str:
        """What data say of how they name users: that it is plainly, or a fingerprint of the key."""
        if self.key is None:
            return PLAIN
        return f"hmac-sha256:{_keyed(self.key, _FINGERPRINT_OF)[:_FINGERPRINT_DIGITS]}"

    def of(self, user_id: str) -> str:
        """How a user is known."""
        return user_id if self.key is None else _keyed(self.key, pseudonym(user_id))

    def hashed(self, hashed_id: str) -> str:
        """The SHA-256 of how a user is known, from that of the id: all that is left of who was erased."""
        return hashed_id if self.key is None else pseudonym(_keyed(self.key, hashed_id))


# Without a key.
IDS = Pseudonyms()


def _keyed(key: bytes, message: str) -> str:
    return hmac.digest(key, message.encode(), "sha256").hex()[:_DIGITS]
