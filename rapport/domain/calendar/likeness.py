"""How alike two texts are: Dice's coefficient over their words, as often as they stand there (Dice, Ecology 26, 1945).

It does not depend on the order of the two, equal texts have 1, and a person can count it. Links are left out, because
platforms shorten them. Of scripts without spaces it goes over each two characters that stand together: single ones
would make any two Japanese sentences alike. Texts without words are compared by what they have instead: links, emoji,
signs.
"""

import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from rapport.domain.words import BREAK, LINK, everything, fold, is_character, pieces

_NO_DIFFERENCE = re.compile(r"^https?://(?:www\.)?|/$")


class Content(NamedTuple):
    """What a text is compared by: its words; where it has none, its signs."""

    words: Counter[str]
    signs: Counter[str]


def content(text: str) -> Content:
    """What a text is compared by."""
    rest = fold(LINK.sub(" ", text))
    words = _pairs(pieces(rest))
    if words:
        return Content(words, Counter())
    links = [_NO_DIFFERENCE.sub("", fold(link)) for link in LINK.findall(text)]
    return Content(words, Counter([*links, *everything(rest)]))


def alike(one: Content, other: Content) -> float:
    """The share that two texts have in common, 0 to 1."""
    if one == other:
        return 1.0
    mine, its = (one.words, other.words) if one.words or other.words else (one.signs, other.signs)
    return 2 * (mine & its).total() / (mine.total() + its.total())


def likeness(one: str, other: str) -> float:
    """The share that two texts have in common, 0 to 1."""
    return alike(content(one), content(other))


def _pairs(found: list[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    run: list[str] = []
    for piece in (*found, BREAK):
        if is_character(piece):
            run.append(piece)
            continue
        counted.update(run if len(run) == 1 else [first + second for first, second in pairwise(run)])
        run = []
        if piece != BREAK:
            counted[piece] += 1
    return counted
