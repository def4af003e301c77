"""Puts what somebody typed back into a form of a rendered page."""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

from services.api.web.form_fields import ONCE, PAGE, VERSION

NOTICE = (
    '<p class="notice" role="status">Your session had ended. What you typed is in the form again; '
    "it is not saved yet.</p>"
)
_NOT_TYPED = frozenset({ONCE, PAGE})
_OF_THE_SHOWING = frozenset({ONCE, PAGE, VERSION, "text_before", "rows"})
"""Hidden fields that do not identify the form."""
_Attributes = list[tuple[str, str | None]]


def fill(html: str, path: str, typed: Sequence[tuple[str, str]]) -> str:
    """The page with `typed` and a notice in the form that is sent to `path`; unchanged without such a form."""
    finder = _Forms(path)
    finder.feed(html)
    hidden = [dict(typed).items() >= each.hidden.items() for each in finder.found]
    if True not in hidden:
        return html
    form = finder.found[hidden.index(True)]
    writer = _Writer(form, typed)
    writer.feed(html)
    writer.close()
    return "".join(writer.out)


class _Form:
    def __init__(self, number: int, around: list[int]) -> None:
        self.number = number
        self.around = around
        """The numbers of the <details> around it, which have to be opened."""
        self.inside: dict[int, set[str]] = {}
        """The fields in each <details> inside it, which has to be opened where something was typed into one of them."""
        self.hidden: dict[str, str] = {}


class _Forms(HTMLParser):
    """Finds the forms that are sent to a path, with their hidden values."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._forms = self._details = 0
        self._open: list[int] = []
        self._now: _Form | None = None
        self.found: list[_Form] = []

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        its = dict(attrs)
        if tag == "details":
            self._details += 1
            self._open.append(self._details)
        elif tag == "form":
            self._forms += 1
            self._now = None
            if (its.get("action") or "").partition("#")[0] == self._path:
                self._now = _Form(self._forms, list(self._open))
                self.found.append(self._now)
        elif tag in ("input", "textarea") and self._now is not None:
            name = its.get("name") or ""
            if its.get("type") != "hidden":
                for number in self._open:
                    self._now.inside.setdefault(number, set()).add(name)
            elif name not in _OF_THE_SHOWING:
                self._now.hidden[name] = its.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "details" and self._open:
            self._open.pop()
        elif tag == "form":
            self._now = None


class _Writer(HTMLParser):
    """Writes the page again, with what was typed in one form."""

    def __init__(self, form: _Form, typed: Sequence[tuple[str, str]]) -> None:
        super().__init__(convert_charrefs=False)
        self._form = form
        self._left: dict[str, list[str]] = {}
        for name, value in typed:
            self._left.setdefault(name, []).append(value)
        self._forms = self._details = 0
        self._inside = False
        self._select: str | None = None
        self._textarea = False
        self.out: list[str] = []

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        raw = self.get_starttag_text() or ""
        its = {name: value or "" for name, value in attrs}
        if tag == "details":
            self._details += 1
            if "open" not in its and self._is_needed(self._details):
                raw = raw[:-1] + " open>"
        elif tag == "form":
            self._forms += 1
            self._inside = self._forms == self._form.number
            raw += NOTICE if self._inside else ""
        elif self._inside:
            raw = self._filled(tag, attrs, its, raw)
        if not self._textarea:
            self.out.append(raw)
        if self._inside and tag == "textarea" and its.get("name") in self._left:
            self.out.append("\n" + escape(self._left[its["name"]][0]))
            self._textarea = True

    def _is_needed(self, details: int) -> bool:
        inside = self._form.inside.get(details, ())
        return details in self._form.around or any(value for name in inside for value in self._left.get(name, ()))

    def _filled(self, tag: str, attrs: _Attributes, its: dict[str, str], raw: str) -> str:
        name = its.get("name", "")
        kind = its.get("type", "text")
        if tag == "select":
            self._select = name if name in self._left else None
        elif tag == "option" and self._select is not None:
            # The value of an option without one is its text, which comes later.
            chosen = "value" in its and its["value"] in self._left[self._select]
            if "value" in its:
                return _tag(tag, attrs, {"selected": None} if chosen else {}, without={"selected"})
        elif tag == "input" and kind in ("checkbox", "radio"):
            chosen = its.get("value", "on") in self._left.get(name, ())
            return _tag(tag, attrs, {"checked": None} if chosen else {}, without={"checked"})
        elif tag == "input" and name in self._left and name not in _NOT_TYPED and kind not in ("file", "submit"):
            return _tag(tag, attrs, {"value": self._left[name][0]}, without={"value"})
        return raw

    def handle_startendtag(self, tag: str, attrs: _Attributes) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = False
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._textarea:
            self.out.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self.out.append(f"<!{decl}>")

    def handle_comment(self, data: str) -> None:
        self.out.append(f"<!--{data}-->")


def _tag(tag: str, attrs: _Attributes, more: dict[str, str | None], without: set[str]) -> str:
    kept = [(name, value) for name, value in attrs if name not in without] + list(more.items())
    said = "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in kept)
    return f"<{tag}{said}>"
