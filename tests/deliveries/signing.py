"""Signs deliveries as each platform does, by its documents and not by the product's code."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

Sign = Callable[[bytes, str, datetime], dict[str, str]]


def meta(body: bytes, secret: str, _: datetime) -> dict[str, str]:
    """Facebook, Instagram, Threads."""
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def x(body: bytes, secret: str, _: datetime) -> dict[str, str]:
    """X: base64, not hex."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"x-twitter-webhooks-signature": "sha256=" + base64.b64encode(digest).decode()}


def linkedin(body: bytes, secret: str, _: datetime) -> dict[str, str]:
    """LinkedIn: the prefix is signed and not sent."""
    return {"x-li-signature": hmac.new(secret.encode(), b"hmacsha256=" + body, hashlib.sha256).hexdigest()}


def tiktok(body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """Over the time in seconds, a dot and the body."""
    sent = str(int(at.timestamp()))
    made = hmac.new(secret.encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
    return {"tiktok-signature": f"t={sent},s={made}"}


SIGNS: Mapping[str, Sign] = {
    "facebook": meta,
    "instagram": meta,
    "linkedin": linkedin,
    "threads": meta,
    "tiktok": tiktok,
    "x": x,
}
