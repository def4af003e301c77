"""Checks the draw of a giveaway: python3 verify.py proof.json

It needs Python 3.9 or newer and nothing else, and shares no code with the program that drew. It checks that the seed is
the one whose SHA-256 was published before the end, that the list of entries is the one that was drawn from, and that
these entries and this seed lead to exactly these winners.
"""

import hashlib
import hmac
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def wrong(why: str) -> None:
    """Ends the script and says what is wrong."""
    sys.exit("WRONG: " + why)


def numbers(key: bytes) -> Iterator[int]:
    """64 bits of each block in turn."""
    block = 0
    while True:
        digest = hmac.new(key, block.to_bytes(8, "big"), hashlib.sha256).digest()
        yield int.from_bytes(digest[:8], "big")
        block += 1


def below(source: Iterator[int], bound: int) -> int:
    """The next number below the bound, each equally likely."""
    # 2^64 is rarely a multiple of the bound. Numbers beyond the last multiple would favour some entries.
    limit = 2**64 // bound * bound
    while True:
        number = next(source)
        if number < limit:
            return number % bound


def drawn(key: bytes, entries: list[str], count: int) -> list[str]:
    """The first of the shuffled entries."""
    left, source, found = list(entries), numbers(key), []
    for place in range(count):
        other = place + below(source, len(left) - place)
        left[place], left[other] = left[other], left[place]
        found.append(left[place])
    return found


def main() -> None:
    """Checks the file that is named."""
    proof = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not proof["drawn_at"]:
        wrong("nothing has been drawn yet")
    seed, entries = bytes.fromhex(proof["seed"]), proof["entries"]
    if hashlib.sha256(seed).hexdigest() != proof["commitment"]:
        wrong("this seed is not the one that was committed to")
    if entries != sorted(set(entries)):
        wrong("the entries are not sorted, or one is there twice")
    digest = hashlib.sha256("".join(entry + "\n" for entry in entries).encode())
    if digest.hexdigest() != proof["digest"]:
        wrong("the digest is not that of these entries")
    key = hashlib.sha256(seed + proof["beacon"].encode() + digest.digest()).digest()
    expected = proof["winners"] + proof["alternates"]
    if drawn(key, entries, len(expected)) != expected:
        wrong("these are not the winners that this seed and these entries lead to")
    winners = f"{len(proof['winners'])} winner{'s' if len(proof['winners']) != 1 else ''}"
    of = f"{len(entries)} {'entries' if len(entries) != 1 else 'entry'}"
    sys.stdout.write(f"RIGHT: {winners} of {of} follow from the seed.\n")


if __name__ == "__main__":
    main()
