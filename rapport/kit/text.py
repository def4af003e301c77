"""Makes text from outside safe to show: in mails, webhooks, feeds, exports, log lines and pages.

Text is cleaned last, right before it is written. Nothing may decode or expand it afterwards.
"""

import re

# What some reader takes for a line break; several in a row stay several lines.
_BREAKS = "\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]"

# What has no shape of its own: control characters, direction marks and overrides, zero-width fillers, surrogates, and
# code points that are not characters. U+200C and U+200D stay: Persian and emoji need them. Variation
# selectors stay for the same reason.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
)
# The flags of England, Scotland and Wales are a black flag followed by invisible letters.
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
# What Hebrew, Arabic and hyphenation need, and what only one's own people may write: these marks can move punctuation.
_MARKS = "\xad\u061c\u200e\u200f\u2060"
# Isolates reorder nothing outside of themselves (UAX #9). A closing one ends the last that was opened.
_OPENING, _CLOSING = "\u2066\u2067\u2068", "\u2069"

_BREAK = re.compile(_BREAKS)
_HIDDEN = re.compile(f"({_FLAG})|[{_UNSEEN}]")
_HIDDEN_OF_OURS = re.compile(f"({_FLAG}|[{_MARKS}{_OPENING}{_CLOSING}])|[{_UNSEEN}]")
_ISOLATES = re.compile(f"[{_OPENING}{_CLOSING}]")
_HIDDEN_OR_BREAK = re.compile(f"[\t\n{_UNSEEN}]")
# Characters that are written but show nothing when they stand alone: joiners, variation selectors, skin tones, blanks
# that count as letters, and marks that need a letter to sit on.
_EMPTY = re.compile(
    r"[\s\u115f\u1160\u17b4\u17b5\u200c\u200d\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef"
    r"\U0001f3fb-\U0001f3ff\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]*"
)

LONGEST_SHORT_ID = 24
_SHORT_HEAD, _SHORT_TAIL = 14, 4


def web_address(url: str | None) -> str | None:
    """An address if it leads to the web. What others give as one can be anything, such as `javascript:`."""
    return url if url and url.startswith(("https://", "http://")) else None


def plain(text: str) -> str:
    """A text of any number of lines, without characters that could control or reorder it; line breaks are `\\n`."""
    return _HIDDEN.sub(lambda found: found[1] or "", _BREAK.sub("\n", text))


def written(text: str) -> str:
    """A text that the brand's own people write for others: as `plain`, with the marks that their scripts need.

    Overrides and embeddings go, and so do the isolates of a line (which ends them) in which they do not pair up.
    """
    kept = _HIDDEN_OF_OURS.sub(lambda found: found[1] or "", _BREAK.sub("\n", text))
    return "\n".join(line if _pair_up(line) else _ISOLATES.sub("", line) for line in kept.split("\n"))


def _pair_up(line: str) -> bool:
    deep = 0
    for found in _ISOLATES.finditer(line):
        deep += -1 if found[0] == _CLOSING else 1
        if deep < 0:
            return False
    return deep == 0


def one_line(text: str, limit: int) -> str:
    """A text as one line of at most `limit` characters."""
    shown = " ".join(plain(text).split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def lines_of(text: str, limit: int = 2000) -> list[str]:
    """The lines of a text that say something, each of at most `limit` characters."""
    return [line for line in (one_line(line, limit) for line in plain(text).split("\n")) if line]


def is_blank(text: str | None) -> bool:
    """Whether a reader sees nothing of a text."""
    return text is None or _EMPTY.fullmatch(plain(text)) is not None


def marked(text: str) -> str:
    """An identifier with each invisible character replaced by U+FFFD.

    Without these characters one identifier could look like another.
    """
    return _HIDDEN_OR_BREAK.sub("\ufffd", text)


def short_id(id: str) -> str:
    """An identifier that fits into a sentence: whole, or its beginning and its end."""
    shown = marked(id)
    return shown if len(shown) <= LONGEST_SHORT_ID else f"{shown[:_SHORT_HEAD]}…{shown[-_SHORT_TAIL:]}"


"".encode("unicode_escape")  # loaded now: a line that is logged while the interpreter ends could wait for it for good


def escaped(text: str, limit: int) -> str:
    """A text for a log: one line of at most about `limit` characters, with `\\x1b` for what cannot be seen.

    If it is too long, its middle is left out: the end of an error says what went wrong.
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]} […{len(text) - 2 * half} characters…] {text[-half:]}"
    return _HIDDEN_OR_BREAK.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
