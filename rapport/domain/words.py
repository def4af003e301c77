"""Compares what people write with the words, phrases and hashtags that a brand is looking for, in every script.

Both sides are brought to one form first (`fold`), so that it makes no difference how something was typed: composed or
decomposed, full-width, upper case, with or without the invisible characters that keyboards add. A word is a run of
letters, digits and the marks on them. Scripts that put no spaces between words are compared character by character,
because only a dictionary could tell where their words end. Everything here takes time in proportion to the text.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_HIGHEST_SCANNED = 0x20000
"""No mark and no emoji has a higher code point, but for the variation selectors and tags, which are listed below."""
_SPACELESS = (
    # Thai, Lao; Myanmar; Khmer; Tai Le, New Tai Lue; Tai Tham; Balinese; Javanese; Myanmar and Tai Viet extended.
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F),
    (0xA980, 0xA9FF), (0xAA60, 0xAADF),
    # Han radicals and numerals, kana, Bopomofo; Han; Yi; compatibility Han; kana and Han beyond the first plane.
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x312F), (0x31A0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA000, 0xA48F), (0xF900, 0xFAFF), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF),
)  # fmt: skip


_KINDS = {"Mn": "m", "Mc": "m", "Me": "m", "So": "s", "Lo": "l", "Lm": "l", "Nl": "l"}
"""A letter for what is looked for below: marks, symbols, and letters that have no case."""
_SCANNED = "".join(
    _KINDS.get(category, ".") for category in map(unicodedata.category, map(chr, range(_HIGHEST_SCANNED)))
)
"""The kind of each code point. Every process makes this as it starts, so it has to be quick."""


def _of_kind(kind: str, first: int = 0x80, last: int = _HIGHEST_SCANNED - 1) -> str:
    """The inside of a character class."""
    runs = re.compile(f"{kind}+").finditer(_SCANNED, first, last + 1)
    return "".join(f"\\U{run.start():08x}-\\U{run.end() - 1:08x}" for run in runs)


def _letters_of(first: int, last: int) -> str:
    """A block without its digits: a number is one word in every script."""
    return f"\\U{first:08x}-\\U{last:08x}" if first >= _HIGHEST_SCANNED else _of_kind("l", first, last)


_MARKS = _of_kind("m")
_CHARACTERS = "".join(_letters_of(*block) for block in _SPACELESS)
_EMOJI = _of_kind("s") + "\u2194\U000e0020-\U000e007f"
"""Arrows and the tags of flags belong to emoji too."""
_JOINER = "\u200d"

_INVISIBLE = re.compile(
    # Soft hyphen, combining grapheme joiner, Mongolian selectors, zero-width space and non-joiner, direction marks,
    # word joiner and its like, variation selectors, byte order mark; and skin tones, which say nothing else.
    "[\u00ad\u034f\u180b-\u180f\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
    "\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef]"
)
_OUTSIDE_EMOJI = re.compile(f"(?<![{_EMOJI}]){_JOINER}|{_JOINER}(?![{_EMOJI}])")
_KEYCAP = re.compile("(?<=[0-9])\u20e3")
_MOST_MARKS = 30
"""On one letter, as in Unicode's stream-safe format: sorting them, as normalizing does, takes the square of that."""
_PILE_OF_MARKS = re.compile(f"([{_MARKS}]{{{_MOST_MARKS}}})[{_MARKS}]+")

_WORD = f"[^\\W_{_CHARACTERS}]+(?:[{_MARKS}]+[^\\W_{_CHARACTERS}]*)*"
_WORDS = re.compile(_WORD)
_PLAIN_WORDS = re.compile(r"[^\W_]+")
_NOT_PLAIN = re.compile(f"[{_of_kind('m', last=0xFFFF)}{_CHARACTERS}\U00010000-\U0001efff]")
"""Looked for first: where no mark and no such character can be, simple expressions do. Coarse for rare scripts."""
_HAS_CHARACTERS = re.compile(f"[{_CHARACTERS}]")
_PIECES = re.compile(f"{_WORD}|[{_CHARACTERS}][{_MARKS}]*|[^\\s\\w]+|_+")
_EVERYTHING = re.compile(
    f"{_WORD}|[{_CHARACTERS}][{_MARKS}]*"
    f"|[\U0001f1e6-\U0001f1ff]{{2}}|[{_EMOJI}](?:{_JOINER}[{_EMOJI}]|[\U000e0020-\U000e007f])*|\\S"
)
_TELLING = re.compile(f"[^\\W_]|[{_EMOJI}]")
BREAK = "|"
"""Stands for punctuation between characters, which a phrase does not reach across. No word has it."""

LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_INNER = "\u00b7\u0f0b\u30fb"
"""Catalan's, Tibetan's and katakana's dots, inside of a hashtag on some platforms."""
_TAG_CHARACTER = f"\\w{_MARKS}{_EMOJI}{_JOINER}{_INNER}"
_CHAIN = re.compile(f"(?<![^\\W{_CHARACTERS}])(?<![&/=])(?:#(?!\u20e3)[{_TAG_CHARACTER}]+)+")
_PLAIN_TAG = re.compile(f"[\\w{_MARKS}]*")
_IN_TAG = re.compile(f"[^\\W\\d_]|[{_EMOJI}]")

_CACHED_WORDS = 4_096
_CACHED_TEXTS = 256
_LONGEST_CACHED = 5_000
"""Characters. A rule's words are asked of the same text one after the other; longer texts are rare, and take space."""


def fold(text: str) -> str:
    """The form in which texts are compared: what looks the same, in any case, is the same.

    Turkish has an i with a dot and one without, and whoever writes in capitals or on another keyboard mixes them up:
    here they are one letter.
    """
    if text.isascii():
        return text.lower()
    text = _INVISIBLE.sub("", text)
    if _NOT_PLAIN.search(text):
        text = _PILE_OF_MARKS.sub(r"\1", text)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = text.replace("ı", "i").replace("i\u0307", "i")
    if _JOINER in text:
        text = _OUTSIDE_EMOJI.sub("", text)
    return _KEYCAP.sub("", text) if "\u20e3" in text else text


def has(text: str, word: str) -> bool:
    """Whether a text has a word or phrase, whole and in any case; an emoji or sign, which is no word, anywhere."""
    return has_any(text, (word,))


def has_any(text: str, words: Iterable[str]) -> bool:
    """Whether a text has one of some words or phrases."""
    said: str | None = None
    for word in words:
        wanted, of_words = _wanted(word)
        if of_words:
            said = _said(text) if said is None else said
            if wanted in said:
                return True
        elif wanted and wanted in _shown(text):
            return True
    return False


def key(word: str) -> str:
    """The same for words that match the same texts. Empty for one that no text can have."""
    return _wanted(word)[0].strip()


def implies(word: str, other: str) -> bool:
    """Whether every text that has one word or phrase has the other too: `cold coffee` implies `coffee`."""
    return bool(key(other)) and _wanted(other)[0] in _wanted(word)[0]


def flaw(word: str, *, signs: bool = False) -> str | None:
    """What is wrong about a word to look for; None of one that is fine. Only with `signs` it can be `+` or `?`."""
    if not key(word):
        return "this has nothing that can be seen, so no text would be found by it"
    if signs or _TELLING.search(word):
        return None
    return f"“{word}” has no letter, digit or emoji, so it cannot be searched for"


def hashtags(text: str) -> frozenset[str]:
    """The hashtags of a text, folded and without their `#`, as one platform or another reads them.

    None has digits alone. Some platforms read emoji and inner dots as part of a hashtag and others end it there, so
    `#coffee☕` is both. After a letter, as in `C#`, or in an address it begins none, unless another hashtag ends there.
    """
    found: set[str] = set()
    if "#" in text or not text.isascii():
        for chain in _CHAIN.findall(fold(LINK.sub(" ", text))):
            for whole in chain[1:].split("#"):
                tags = (whole.rstrip(_INNER), _PLAIN_TAG.match(whole)[0])  # type: ignore[index]
                found.update(tag for tag in tags if _IN_TAG.search(tag))
    return frozenset(found)


def bare_hashtag(tag: str) -> str:
    """A hashtag as it was typed, without the sign in front."""
    return re.sub("^[#＃﹟]", "", tag.strip())


def is_tagged(text: str, tag: str) -> bool:
    """Whether a text has a hashtag, in any case."""
    return fold(bare_hashtag(tag)) in _hashtags(text)


def hashtag_flaw(tag: str) -> str | None:
    """What is wrong about a hashtag to look for; None of one that is fine."""
    bare = bare_hashtag(tag)
    folded = fold(bare)
    if folded in hashtags(f"#{bare}"):
        return None
    if folded and all(character.isdigit() or character == "_" for character in folded):
        return "a hashtag needs a letter: platforms do not link digits alone"
    return "a hashtag is one word of letters, digits, underscores and emoji"


def is_character(piece: str) -> bool:
    """Whether a piece is one character of a script without spaces."""
    return _HAS_CHARACTERS.match(piece) is not None


def pieces(folded: str) -> list[str]:
    """Words, single characters of scripts without spaces, and BREAK between two of these that punctuation parts."""
    if not _NOT_PLAIN.search(folded):
        return _PLAIN_WORDS.findall(folded)
    if not _HAS_CHARACTERS.search(folded):
        return _WORDS.findall(folded)
    found: list[str] = []
    after_character = apart = False
    for piece in _PIECES.findall(folded):
        character = is_character(piece)
        if not character and not piece[0].isalnum():
            apart = True
            continue
        if apart and after_character and character:
            found.append(BREAK)
        found.append(piece)
        after_character, apart = character, False
    return found


def everything(folded: str) -> list[str]:
    """All that a text shows: words, characters, emoji as one however many parts they have, and each other sign."""
    return _EVERYTHING.findall(folded)


@lru_cache(_CACHED_WORDS)
def _wanted(word: str) -> tuple[str, bool]:
    """A word as it is looked for, and whether that is among words or among everything that a text shows."""
    folded = fold(word)
    found = pieces(folded)
    return _spaced(found or everything(folded)), bool(found)


def _said(text: str) -> str:
    return _cached_said(text) if len(text) <= _LONGEST_CACHED else _spaced(pieces(fold(text)))


def _shown(text: str) -> str:
    return _cached_shown(text) if len(text) <= _LONGEST_CACHED else _spaced(everything(fold(text)))


@lru_cache(_CACHED_TEXTS)
def _cached_said(text: str) -> str:
    return _spaced(pieces(fold(text)))


@lru_cache(_CACHED_TEXTS)
def _cached_shown(text: str) -> str:
    return _spaced(everything(fold(text)))


def _hashtags(text: str) -> frozenset[str]:
    return _cached_hashtags(text) if len(text) <= _LONGEST_CACHED else hashtags(text)


_cached_hashtags = lru_cache(_CACHED_TEXTS)(hashtags)


def _spaced(found: list[str]) -> str:
    return f" {' '.join(found)} " if found else ""
