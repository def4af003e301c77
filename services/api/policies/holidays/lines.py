"""Content lines of iCalendar files, and of vCalendar 1.0, their predecessor, as exporters really write them.

Lines are unfolded while they are still bytes: exporters fold after 75 bytes, in the midst of a letter too. Each line
is then read as UTF-8, or as Windows-1252 if it is not UTF-8, since old exporters write what their machine uses.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator

_BREAK = re.compile(rb"\r\n|\n|\r")
_HEAD = re.compile(rb'((?:[^":]|"[^"]*")*):(.*)', re.DOTALL)
_ENCODING = re.compile(rb";(?:ENCODING=)?(QUOTED-PRINTABLE|BASE64|B|8BIT|7BIT)(?=[;:]|$)", re.IGNORECASE)
_CHARSET = re.compile(rb';CHARSET="?([A-Za-z0-9_.:-]+)"?', re.IGNORECASE)
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}
_FALLBACK = "cp1252"


def content_lines(ics: bytes) -> Iterator[tuple[int, str]]:
    """Each content line with the number of the line that it begins on, unfolded and decoded."""
    for number, raw in _unfolded(_in_bytes(ics)):
        yield number, _decoded(raw)


def _in_bytes(ics: bytes) -> bytes:
    """Without a byte order mark, and with single bytes for line breaks and blanks."""
    for mark, name in _MARKS.items():
        if ics.startswith(mark):
            rest = ics[len(mark) :]
            return rest if name == "utf-8" else rest.decode(name, "replace").encode()
    return ics


def _unfolded(ics: bytes) -> Iterator[tuple[int, bytes]]:
    """A line goes on where the next begins with a blank, or where quoted-printable text ends with `=`."""
    line, parts, soft = 0, [b""], False
    for number, raw in enumerate(_BREAK.split(ics), 1):
        if soft:
            parts[-1] = parts[-1].removesuffix(b"=")
            parts.append(raw)
        elif raw.startswith((b" ", b"\t")):
            parts.append(raw[1:])
        elif raw:
            if line:
                yield line, b"".join(parts)
            line, parts = number, [raw]
        soft = parts[-1].endswith(b"=") and _is_quoted(parts[0])
    if line:
        yield line, b"".join(parts)


def _is_quoted(raw: bytes) -> bool:
    head = raw.partition(b":")[0].upper()
    return b"QUOTED-PRINTABLE" in head


def _decoded(raw: bytes) -> str:
    found = _HEAD.fullmatch(raw)
    if found is None:
        return _text(raw)
    head, value = found[1], found[2]
    charset = _CHARSET.search(head)
    encoding = _ENCODING.search(head)
    name = charset[1].decode("ascii") if charset else None
    if charset:
        head = _CHARSET.sub(b"", head)
    if encoding is None:
        return f"{_text(head)}:{_text(value, name)}"
    # The text is escaped again, since it is read as iCalendar, which has no encodings.
    text = _text(_value(value, encoding[1].upper()), name)
    if encoding[1].upper() not in (b"8BIT", b"7BIT"):
        text = re.sub(r"\r\n|\r|\n", r"\\n", text)
    return f"{_text(_ENCODING.sub(b'', head))}:{text}"


def _value(value: bytes, encoding: bytes) -> bytes:
    if encoding == b"QUOTED-PRINTABLE":
        return quopri.decodestring(value)
    if encoding in (b"BASE64", b"B"):
        try:
            return base64.b64decode(value)
        except binascii.Error:
            return value
    return value


def _text(raw: bytes, name: str | None = None) -> str:
    for encoding in (name, "utf-8", _FALLBACK):
        if encoding is not None:
            try:
                return raw.decode(encoding)
            except (UnicodeDecodeError, LookupError):
                continue
    # The five bytes that Windows-1252 leaves open.
    return raw.decode(_FALLBACK, "replace")
