"""Pseudonyms: with a key, every component behind the API gets keyed hashes in place of user ids.

The key is a secret of the environment. It is in no settings file, artifact or log.
"""

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recloop.config import ConfigError
from recloop.data.erased_users import user_digest

if TYPE_CHECKING:
    from recloop.settings import Settings

KEY, KEY_FILE = "RECLOOP_PSEUDONYM_KEY", "RECLOOP_PSEUDONYM_KEY_FILE"
# Scheme of data that names users by their ids.
PLAIN_IDS = "plain"

_MIN_BYTES = 32
# 128 bits: among a billion people, any two share one with a probability of 2e-21.
_DIGITS = 32
_FINGERPRINT_OF, _FINGERPRINT_DIGITS = "recloop naming", 16


@dataclass(frozen=True)
class Pseudonyms:
    """Maps user ids to pseudonyms: the first half of their HMAC-SHA-256, in hexadecimal.

    Without a key, the pseudonym is the id itself.

    Args:
        key: Secret key, at least 32 bytes.

    >>> Pseudonyms(b"0" * 32).pseudonymise("user-1")
    'f1f61b99f1afe188ddef8dd015bce80c'
    >>> NO_PSEUDONYMS.pseudonymise("user-1")
    'user-1'

    Reference:
        RFC 2104, "HMAC: Keyed-Hashing for Message Authentication".
    """

    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the length of the key.

        Raises:
            ConfigError: The key is too short.
        """
        if self.key is not None and len(self.key) < _MIN_BYTES:
            raise ConfigError(
                f"the key in {KEY} or {KEY_FILE} has {len(self.key)} bytes; it needs {_MIN_BYTES},"
                " such as `openssl rand -hex 32` makes"
            )

    @classmethod
    def of_settings(cls, settings: "Settings") -> "Pseudonyms":
        """Return the pseudonyms under the key of the settings, or of the file that they name.

        Raises:
            ConfigError: Key and file are both set, the file cannot be read, or the key is too
                short; an empty key is.
        """
        secret, file = settings.pseudonym_key, settings.pseudonym_key_file
        if secret is not None and file is not None:
            raise ConfigError(f"{KEY} and {KEY_FILE} are both set; set only one of them")
        key = None if secret is None else secret.get_secret_value()
        if file is not None:
            try:
                key = file.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise ConfigError(f"{KEY_FILE}: cannot read {str(file)!r}") from error
        return cls(None if key is None else key.strip().encode())

    @property
    def scheme(self) -> str:
        """Name of the scheme, stored with data: `plain`, or a fingerprint of the key."""
        if self.key is None:
            return PLAIN_IDS
        return f"hmac-sha256:{_keyed(self.key, _FINGERPRINT_OF)[:_FINGERPRINT_DIGITS]}"

    def pseudonymise(self, user_id: str) -> str:
        """Return the pseudonym of a user id."""
        return user_id if self.key is None else _keyed(self.key, user_digest(user_id))

    def pseudonymise_digest(self, hashed_id: str) -> str:
        """Return the digest of a user's pseudonym, from the digest of the id (see `user_digest`).

        Of an erased user, only the digest is kept, so it is changed without knowing the id.
        """
        return hashed_id if self.key is None else user_digest(_keyed(self.key, hashed_id))


# Pseudonyms without a key.
NO_PSEUDONYMS = Pseudonyms()


def _keyed(key: bytes, message: str) -> str:
    return hmac.digest(key, message.encode(), "sha256").hex()[:_DIGITS]
