"""What a reader sees of the HTML of a status or a profile. Pure."""

import re
from collections.abc import Collection
from html.parser import HTMLParser

from rapport.kit.text import web_address

LONGEST_HTML = 20_000
"""Characters. Mastodon's own statuses have 500, GoToSocial's 5,000; other servers may allow more, and send a page of
them."""
_DECLARATION = re.compile(r"<[!?][^<>]*>")
_NEVER_CLOSED = re.compile(r"<(?=[^<>]*(?:<|\Z))")
"""What begins like a tag and is none. Python's parser looks for the end of each, so many of them take minutes."""
_BLANK = re.compile(r"[ \t\r\n\f]+")
AROUND_BREAK = re.compile(r"(?<! ) *\n *")
"""It begins where blanks begin: tried from each of 20,000 blanks without a break, it would take seconds."""
_BREAKS = re.compile(r"\n{3,}")
_PARAGRAPHS = frozenset({"p", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "table"})
_LINES = frozenset({"br", "div", "li", "tr"})
_UNSEEN = frozenset({"script", "style", "template", "head", "title"})


class _Reader(HTMLParser):
    def __init__(self, hidden: frozenset[str], people: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.links: list[str] = []
        self._hidden = hidden
        self._people = people
        self._within: str | None = None
        """The tag of the element that nobody sees, and how many of that name are open in it."""
        self._depth = 0
        self._shortened = False
        self._preformatted = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._within is not None:
            self._depth += tag == self._within
            return
        given = dict(attrs)
        classes = frozenset((given.get("class") or "").split())
        if tag in _UNSEEN or classes & self._hidden:
            self._within, self._depth = tag, 1
            return
        self._break(tag)
        if tag == "pre":
            self._preformatted = True
        elif tag == "span":
            self._shortened = "ellipsis" in classes
        elif tag == "img":
            self.parts.append(given.get("alt") or "")
        elif tag == "a" and not classes & {"mention", "hashtag"}:
            # Not every server marks them by a class: some say what a link is, or only whose address it has.
            is_hashtag = "tag" in (given.get("rel") or "").split()
            if not is_hashtag and given.get("href") not in self._people:
                self.links.append(given.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if self._within is not None and tag == self._within:
            self._depth -= 1
            self._within = self._within if self._depth else None
            return
        if tag in _PARAGRAPHS:  # it also ends what was left open in it
            self._within = None
        if self._within is not None:
            return
        if tag != "br":
            self._break(tag)
        if tag == "pre":
            self._preformatted = False
        elif tag == "span" and self._shortened:
            self.parts.append("…")
            self._shortened = False

    def handle_data(self, data: str) -> None:
        if self._within is None:
            self.parts.append(data if self._preformatted else _BLANK.sub(" ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.parts.append("\n\n")
        elif tag in _LINES:
            self.parts.append("\n")


def plain(html: str, *, quotes: bool = False, people: Collection[str] = ()) -> tuple[str, list[str]]:
    """The text that a reader sees, and where its links lead, other than to people and hashtags.

    `people` are the addresses of those whom it mentions.

    Paragraphs and lines become line breaks. Mastodon shortens the addresses of links, and so does the text. `quotes`
    says that the status quotes another one: then the address of that, which stands in the text for software that knows
    no quotes, is left out.
    """
    reader = _Reader(frozenset({"invisible", "quote-inline"} if quotes else {"invisible"}), people)
    reader.feed(_DECLARATION.sub("", _NEVER_CLOSED.sub("&lt;", html[:LONGEST_HTML])))
    reader.close()
    text = _BREAKS.sub("\n\n", AROUND_BREAK.sub("\n", "".join(reader.parts)))
    return text.strip(), [link for link in reader.links if web_address(link)]
