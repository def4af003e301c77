"""A draw that everybody can repeat: from a seed that was fixed before the end, and the entries as they then were.

Before the end the SHA-256 of a secret seed is published. At the draw the entries are frozen, each as a salted hash, and
sorted; then

    digest  = SHA-256(the hashes, each with a line feed)
    key     = SHA-256(seed ‖ beacon ‖ digest)
    block n = HMAC-SHA256(key, n as 8 bytes), of which the first 8 bytes are a number

and the winners are the first of a Fisher-Yates shuffle that takes its numbers from the blocks in turn. A number that
would favour some places is passed over (rejection), so each entry has the same chance exactly. The beacon is a public
value that nobody knew before the end, such as a lottery's; without one, the seed alone has to be trusted.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence

_SPAN = 2**64


def commitment_of(seed: bytes) -> str:
    """What is published of a seed before the end."""
    return hashlib.sha256(seed).hexdigest()


def hash_of(salt: bytes, platform: str, follower: str) -> str:
    """An entry's name: tells nobody without the salt who it is."""
    return hmac.digest(salt, f"{platform}/{follower}".encode(), hashlib.sha256).hex()


def digest_of(hashes: Iterable[str]) -> str:
    """The digest of sorted entries."""
    found = hashlib.sha256()
    for each in hashes:
        found.update(f"{each}\n".encode())
    return found.hexdigest()


def drawn(seed: bytes, beacon: str, digest: str, hashes: Sequence[str], count: int) -> list[str]:
    """`count` of the sorted hashes, in the order in which they are drawn. Raises ValueError for more than there are."""
    if count > len(hashes):
        raise ValueError(f"{count} cannot be drawn from {len(hashes)}")
    key = hashlib.sha256(seed + beacon.encode() + bytes.fromhex(digest)).digest()
    numbers = _numbers(key)
    moved: dict[int, int] = {}
    winners = []
    for place in range(count):
        other = place + _below(numbers, len(hashes) - place)
        winners.append(hashes[moved.get(other, other)])
        moved[other] = moved.get(place, place)
    return winners


def _numbers(key: bytes) -> Iterator[int]:
    block = 0
    while True:
        yield int.from_bytes(hmac.digest(key, block.to_bytes(8, "big"), hashlib.sha256)[:8], "big")
        block += 1


def _below(numbers: Iterator[int], bound: int) -> int:
    """The next number below `bound` (at most 2^63), each equally likely."""
    fair = _SPAN - _SPAN % bound
    return next(number for number in numbers if number < fair) % bound
