"""The form of a community: conditions in rows, or the same rule as text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rapport.domain.communities.community import (
    COUNTS,
    FIELDS,
    HIGHEST_SCORE,
    MOST_CONDITIONS,
    MOST_DAYS,
    NUMBERS,
    CommunityRule,
    Condition,
    Not,
    PartError,
    condition,
    whole,
)
from rapport.domain.communities.community import All as Every
from rapport.domain.communities.text import render
from rapport.domain.relationships.relationship import DIMENSIONS
from services.api.http.problems import FieldProblem, Position

GROUPS: Mapping[str, Sequence[str]] = {
    "Who they are": ("stage", "platform", "bot"),
    "The relationship": (*DIMENSIONS, "last seen", "first seen"),
    "What they did": ("words", "campaign", *COUNTS),
}
LABELS = {
    **{name: name.capitalize() for name in FIELDS},
    **{name: f"{name.capitalize()} (0 to {HIGHEST_SCORE})" for name in DIMENSIONS},
    "words": "What they wrote",
    "campaign": "Campaigns",
    "bot": "Is a bot",
    "replies": "Replies of the brand",
    "last seen": "Last seen",
    "first seen": "First seen",
}
COMPARISONS = {
    **{each: each for each in ("is", "is not", "is at least", "is at most")},
    **dict(zip(NUMBERS, ("is more than", "is at least", "is less than", "is at most", "is", "is not"), strict=True)),
    "within": "within the last",
    "more than": "longer ago than",
    "wrote": "wrote",
    "never wrote": "never wrote",
    "entered": "entered",
    "never entered": "never entered",
}
HIGHEST = {"score": HIGHEST_SCORE, "days": MOST_DAYS}


class Row(NamedTuple):
    """A condition as typed."""

    field: str
    comparison: str
    value: str

    @property
    def kind(self) -> str:
        """The kind of its value."""
        return FIELDS[self.field].kind


class Typed:
    """What somebody typed. `rows` is None if the rule has nested groups, which rows cannot show."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        sent = {name: value.replace("\r\n", "\n") for name, value in pairs}
        self.name = sent.get("name", "")
        self.id = sent.get("id", "")
        self.description = sent.get("description", "")
        self.match = "any" if sent.get("match") == "any" else "all"
        self.text = sent.get("text", "")
        self.text_before = sent.get("text_before", "")
        self.do = sent.get("do", "")
        self.more = sent.get("more", "")
        self.rows: list[Row] | None = None
        if "rows" in sent:
            numbers = [number for number in range(MOST_CONDITIONS + 1) if sent.get(f"field.{number}") in FIELDS]
            self.rows = [
                Row(*(sent.get(f"{part}.{number}", "") for part in ("field", "comparison", "value")))
                for number in numbers
            ]

    def show(self, rule: CommunityRule) -> None:
        """Fills rows and text with a rule."""
        self.text = self.text_before = render(rule)
        parts = rule.of if not isinstance(rule, Condition | Not) else (rule,)
        self.match = "all" if isinstance(rule, Condition | Not | Every) else "any"
        flat = [each for each in parts if isinstance(each, Condition)]
        rows = [Row(each.field, each.comparison, str(each.value)) for each in flat]
        self.rows = rows if len(flat) == len(parts) else None

    def change_rows(self) -> bool:
        """Adds or removes a row if a button asked for it. True if one did."""
        if self.rows is None:
            return False
        what, _, number = self.do.partition(".")
        if what == "remove":
            self.rows = [row for place, row in enumerate(self.rows) if str(place) != number]
            return True
        if what == "add":
            if self.more in FIELDS and len(self.rows) < MOST_CONDITIONS:
                self.rows.append(Row(self.more, "", ""))
            return True
        return False

    def rule(self) -> tuple[str | dict[str, Any], dict[str, str]]:
        """The rule as the API takes it, and a sentence for each invalid row."""
        if self.do.endswith("text") or self.rows is None:
            return self.text, {}
        wrong: dict[str, str] = {}
        made: list[dict[str, Any]] = []
        for place, row in enumerate(self.rows):
            try:
                found = condition(row.field, row.comparison, _value(row))
                made.append({"kind": "condition", **{name: getattr(found, name) for name in Row._fields}})
            except PartError as error:
                wrong[f"row.{place}"] = sentence(error.why)
        if self.text.strip() != self.text_before.strip():
            wrong["text"] = "You changed this text, but you saved the conditions. Use the button below, or undo."
        if not self.rows:
            wrong["rows"] = "Add at least one condition."
        return {"kind": self.match, "of": made}, wrong


def _value(row: Row) -> int | str:
    typed = row.value.strip()
    if not typed:
        raise PartError("value", "enter a value")
    number = whole(typed) if row.kind in ("score", "count", "days") else None
    return typed if number is None else number


def problems(found: Sequence[FieldProblem]) -> tuple[dict[str, str], Position | None]:
    """The problems of a rule by the field of the form, and the position in the text."""
    wrong: dict[str, str] = {}
    place = None
    for each in found:
        if each.position is not None:
            wrong["text"], place = sentence(each.why), each.position
            continue
        parts = (each.pointer or "").split("/")  # ["", "rule", "of", "1", "value"]
        row = parts[3] if len(parts) > 3 and parts[2] == "of" else None
        wrong.setdefault(f"row.{row}" if row is not None else "rows", sentence(each.why))
    return wrong, place


def sentence(why: str) -> str:
    """A reason as a sentence beside a field."""
    return f"{why[:1].upper()}{why[1:]}{'' if why.endswith(('?', '.')) else '.'}"


def marked(text: str, place: Position) -> tuple[str, str]:
    """The wrong line of a text, and carets under the position."""
    line = text.split("\n")[place.line - 1] if text else ""
    before = "".join("\t" if each == "\t" else " " for each in line[: place.column - 1])
    return line, before + "^" * max(1, min(place.length, len(line) - place.column + 1))
