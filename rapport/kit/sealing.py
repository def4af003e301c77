"""Secrets at rest: sealed with AES-256-GCM by a key from a file, so that a copy of the database or the log shows none.

A sealed secret is `sealed.v1.<key id>.<base64url>`. It opens only where it belongs: with another `place`, which names
the account or channel, it does not. A secret that is not sealed, from before there were keys, is taken as it is.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "sealed.v1."
KEY_BYTES = 32
NONCE_BYTES = 12
LARGEST_FILE = 64 * 1024
_LINE = re.compile(r"([a-z0-9-]{1,32}) ([A-Za-z0-9+/]{43}=)")


class SealedError(ValueError):
    """A secret that cannot be opened, and why. Never says what is in it."""


@dataclass(frozen=True, repr=False)
class Sealer:
    """Seals with the first of its keys, opens with any of them. Without keys it leaves secrets as they are."""

    keys: tuple[tuple[str, bytes], ...] = ()
    """Id and 32 bytes of each."""

    @classmethod
    def of(cls, file: Path | None) -> Self:
        """The keys in a file: a line `<id> <32 bytes in base64>` each, the one to seal with first; None has none.

        Raises ValueError, and OSError.
        """
        if file is None:
            return cls()
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE} bytes")
        found: dict[str, bytes] = {}
        for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            read = _LINE.fullmatch(line.strip())
            if read is None:
                raise ValueError(f"line {number} is not `<id> <{KEY_BYTES} bytes in base64>`")
            if read[1] in found:
                raise ValueError(f"line {number} has the id {read[1]} again")
            found[read[1]] = base64.b64decode(read[2])
        if not found:
            raise ValueError("it has no key")
        return cls(tuple(found.items()))

    def seal(self, place: str, secret: str) -> str:
        """The secret, sealed for this place."""
        if not self.keys:
            return secret
        name, key = self.keys[0]
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, secret.encode(), place.encode())
        return f"{PREFIX}{name}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, place: str, secret: str) -> str:
        """The secret that was sealed for this place. Raises SealedError."""
        if not secret.startswith(PREFIX):
            return secret
        name, _, text = secret.removeprefix(PREFIX).partition(".")
        key = dict(self.keys).get(name)
        if key is None:
            raise SealedError(f"it is sealed with the key {name[:32]!r}, which is not in RAPPORT_SEALING_KEYS")
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError):
            why = f"it was changed after it was sealed with the key {name!r}, or belongs elsewhere"
            raise SealedError(why) from None

    def current(self, secret: str) -> bool:
        """Whether it is as `seal` would leave it now."""
        return not self.keys or secret.startswith(f"{PREFIX}{self.keys[0][0]}.")


def new_key(id: str) -> str:
    """A line for the file, with a new key."""
    return f"{id} {base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
