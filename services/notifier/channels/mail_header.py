"""Text in mail headers (RFC 2047).

The standard library is no help: its folding loses blanks between encoded words and makes words that are too long
(Python 3.11.2 and 3.11.7).
"""

import base64
import re

from rapport.kit.text import one_line

LONGEST_WORD = 75
"""RFC 2047: no encoded word is longer."""
LONGEST_LINE = 76
LONGEST_TEXT = 998
_START, _END = "=?utf-8?b?", "?="
# Base64 turns each 3 bytes into 4 characters.
_WORD_BYTES = (LONGEST_WORD - len(_START) - len(_END)) // 4 * 3
_PLAIN = re.compile(r"[!-~]+( [!-~]+)*")


def header_text(name: str, text: str, *, always: bool = False) -> str:
    """A text as the value of the header `name`, folded. Decoded, it is the same text as one clean line.

    `always` encodes it whatever it holds: a display name could hold characters that mean something in an address.
    """
    shown = one_line(text, LONGEST_TEXT)
    taken = len(name) + 2
    if not always and _PLAIN.fullmatch(shown) and "=?" not in shown:
        folded = _folded(shown, taken)
        if folded is not None:
            return folded
    return "\r\n ".join(_encoded(shown, taken))


def _folded(text: str, taken: int) -> str | None:
    """Plain text, broken at its blanks; None if a word is too long for a line."""
    lines, room = [""], LONGEST_LINE - taken
    for word in text.split(" "):
        if len(word) > room:
            return None
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
            room = LONGEST_LINE - 1
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\r\n ".join(lines)


def _encoded(text: str, taken: int) -> list[str]:
    """The text as encoded words, each of whole characters. Readers drop the blanks between encoded words.

    All of the text is encoded, so that no blank is between an encoded word and a plain one.
    """
    words: list[str] = []
    part = b""
    # The first word shares its line with the header's name.
    room = min(_WORD_BYTES, (LONGEST_LINE - taken - len(_START) - len(_END)) // 4 * 3)
    for character in text:
        more = character.encode()
        if len(part) + len(more) > room:
            words.append(_word(part))
            part, room = b"", _WORD_BYTES
        part += more
    return [*words, _word(part)] if part or not words else words


def _word(part: bytes) -> str:
    return f"{_START}{base64.b64encode(part).decode()}{_END}"
