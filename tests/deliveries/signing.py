"""Signs deliveries as each platform does, by its documents and not by the product's code."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

Sign = Callable[[bytes, str, datetime], dict[str, str]]


def meta(body: bytes, secret: str, _: datetime) -> dict[str, str]:
    """Facebook, Instagram, Threads."""
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


SIGNS: Mapping[str, Sign] = {"facebook": meta}
