"""Forms as a browser reads them out of a page and sends them, without a browser."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import httpx

from services.api.web.form_fields import OWN
from tests.services.api.conftest import ADMIN_KEY, Served

_Attributes = list[tuple[str, str | None]]
_NOT_TYPED = ("hidden", "submit", "button", "file")


@dataclass
class Form:
    """A form: where it is sent, its fields as they are sent, and its buttons."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    """The names of the fields that text is typed into."""
    folded: list[str] = field(default_factory=list)
    """Those of them in a part of the page that is not unfolded."""
    kinds: dict[str, str] = field(default_factory=dict)
    boxes: list[tuple[str, str]] = field(default_factory=list)
    """What can be ticked."""

    def __getitem__(self, name: str) -> str:
        return dict(self.fields)[name]

    def own(self) -> list[tuple[str, str]]:
        """What it says, without the fields that every form has."""
        return [each for each in self.fields if each[0] not in OWN]

    def filled(self, **values: str) -> "Form":
        """The same with other values."""
        fields = [(name, values.get(name, value)) for name, value in self.fields]
        fields += [(name, value) for name, value in values.items() if name not in dict(self.fields)]
        return replace(self, fields=fields)


class _Reader(HTMLParser):
    """Line breaks are read as a browser reads them; they are sent as two characters."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._textarea: str | None = None
        self._text = ""
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        self._folded: list[bool] = []

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        its = {name: value or "" for name, value in attrs}
        if tag == "details":
            self._folded.append("open" not in its)
        if tag == "form":
            self._form = Form(its.get("action", "").partition("#")[0]) if its.get("method") == "post" else None
            if self._form is not None:
                self.forms.append(self._form)
        if self._form is None:
            return
        name, kind = its.get("name", ""), its.get("type", "text")
        if tag == "input" and kind in ("checkbox", "radio"):
            self._form.boxes.append((name, its.get("value", "on")))
            if "checked" in its:
                self._form.fields.append((name, its.get("value", "on")))
        elif tag == "input" and kind not in ("submit", "file"):
            # A field of one line has no line breaks.
            self._form.fields.append((name, its.get("value", "").replace("\r", "").replace("\n", "")))
            self._form.kinds[name] = kind
            if kind not in _NOT_TYPED:
                self._typed(self._form, name)
        elif tag == "textarea":
            self._textarea, self._text = name, ""
            self._typed(self._form, name)
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "option" and self._select is not None:
            self._options.append((its.get("value", ""), "selected" in its))
        elif tag == "button":
            self._form.buttons.append((name, its.get("value", "")))

    def _typed(self, form: Form, name: str) -> None:
        form.typed.append(name)
        if any(self._folded):
            form.folded.append(name)

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "details" and self._folded:
            self._folded.pop()
        if self._form is None:
            return
        if tag == "textarea" and self._textarea is not None:
            text = self._text.replace("\r\n", "\n").replace("\r", "\n")
            self._form.fields.append((self._textarea, text.removeprefix("\n").replace("\n", "\r\n")))
            self._textarea = None
        elif tag == "select" and self._select is not None and self._options:
            chosen = [value for value, selected in self._options if selected] or [self._options[0][0]]
            self._form.fields.append((self._select, chosen[0]))
            self._select = None
        elif tag == "form":
            self._form = None


def forms_in(html: str) -> list[Form]:
    """The forms of a page that are sent with POST."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms


class Visitor:
    """Somebody who looks at the portal."""

    def __init__(self, api: Served, key: str = ADMIN_KEY) -> None:
        self._key = key
        self.client = httpx.Client(base_url=api.url, headers={"Accept": "text/html"}, timeout=30)
        self.log_in()

    def log_in(self) -> None:
        """Opens a session."""
        assert self.client.post("/login", data={"key": self._key}).status_code == 303

    def forms(self, path: str) -> list[Form]:
        """The forms of a page."""
        answer = self.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return forms_in(answer.text)

    def form(self, path: str, action: str, number: int = 0) -> Form:
        """The form of a page that is sent to a path with this end."""
        return [each for each in self.forms(path) if each.action.endswith(action)][number]

    def send(self, form: Form, button: tuple[str, str] | None = None) -> httpx.Response:
        """Sends it as the button does, or as its first one does."""
        pressed = button or (form.buttons[0] if form.buttons else ("", ""))
        fields = [*form.fields, *([pressed] if pressed[0] else [])]
        return self.client.post(form.action, content=encoded(fields), headers={"Content-Type": FORM})


FORM = "application/x-www-form-urlencoded"


def encoded(fields: Sequence[tuple[str, str]]) -> bytes:
    """As a browser writes them."""
    return bytes(httpx.QueryParams(list(fields)).__str__().encode())
