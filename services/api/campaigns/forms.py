"""The form of a new campaign: reads what was typed, or says beside each field what is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from rapport.domain import local_times
from rapport.domain.local_times import PAST
from services.api.campaigns.schemas import CampaignInput, GiveawayInput
from services.api.http.ids import slug
from services.api.http.problems import FieldProblem
from services.api.web.frame import as_sentence

QUESTIONS = 5
"""Questions on the form. The API takes more."""
KINDS = {"giveaway": "Giveaway", "survey": "Survey"}
REQUIREMENTS = ("comment", "share", "follow", "entry")

_PATTERNS = {
    "id": "Use small letters, digits, - and _, beginning with a letter or digit.",
    "hashtag": "A hashtag is one word of letters and digits.",
}
_FIELDS = {"starts_at": "starts", "ends_at": "ends", "giveaway": "requirements", "survey": "questions"}


class Typed:
    """What somebody typed."""

    def __init__(self, kind: str, pairs: Iterable[tuple[str, str]]) -> None:
        self.kind = kind
        self._all: dict[str, list[str]] = {}
        for name, value in pairs:
            self._all.setdefault(name, []).append(value.replace("\r\n", "\n"))

    def __getitem__(self, name: str) -> str:
        """A field as typed; empty if it was not sent."""
        return self._all.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """The values of a field that can have several."""
        return self._all.get(name, [])

    def lines(self, name: str) -> list[str]:
        """The lines of a field that are not empty."""
        return [line.strip() for line in self[name].split("\n") if line.strip()]


def blank(kind: str) -> Typed:
    """The empty form, with the API's defaults. A survey's form is offered."""
    defaults = [(name, str(GiveawayInput.model_fields[name].default)) for name in ("winners", "alternates", "match")]
    return Typed(kind, [*defaults, ("form", "true")])


def read(typed: Typed, zone: str, now: datetime) -> tuple[CampaignInput | None, dict[str, str]]:
    """The campaign, or a sentence for each invalid field."""
    wrong: dict[str, str] = {}
    asked = [number for number in range(1, QUESTIONS + 1) if typed[f"q{number}.text"].strip()]
    content: dict[str, Any] = {
        "kind": typed.kind,
        "name": typed["name"],
        "id": typed["id"].strip() or slug(typed["name"], "campaign"),
        "accounts": typed.all("accounts"),
        "posts": typed.lines("posts"),
        "hashtag": typed["hashtag"].strip() or None,
        typed.kind: _giveaway(typed) if typed.kind == "giveaway" else _survey(typed, asked),
    }
    for name in ("starts", "ends"):
        try:
            content[f"{name}_at"] = local_times.read(typed[name], ZoneInfo(zone), typed[f"{name}_which"])
        except ValueError as error:
            wrong[name] = str(error)
            # A placeholder, so that the other fields are checked too.
            content[f"{name}_at"] = datetime(2000 if name == "starts" else 9000, 1, 1, tzinfo=ZoneInfo(zone))
    try:
        found = CampaignInput.model_validate(content)
    except ValidationError as error:
        for each in error.errors():
            field = ".".join(str(part) for part in each["loc"])
            wrong.setdefault(place_of(field, asked), _sentence(field, each["type"], each["msg"], each.get("ctx", {})))
        return None, wrong
    if not wrong and found.starts_at < now and not typed["past"]:
        wrong["starts"] = PAST
    return (None, wrong) if wrong else (found, {})


def problems(found: Sequence[FieldProblem], typed: Typed) -> dict[str, str]:
    """The problems of a campaign, by the field of the form that they belong to."""
    asked = [number for number in range(1, QUESTIONS + 1) if typed[f"q{number}.text"].strip()]
    wrong: dict[str, str] = {}
    for each in found:
        wrong.setdefault(place_of(each.field, asked), as_sentence(each.why))
    return wrong


def place_of(field: str, asked: Sequence[int]) -> str:
    """The field of the form that a field of a campaign is typed in."""
    parts = field.split(".")
    if parts[:2] == ["survey", "questions"] and len(parts) > 3:
        part = "text" if parts[3] == "id" else parts[3]
        return f"q{asked[int(parts[2])]}.{part}"
    if parts[:2] == ["giveaway", "requirements"]:
        return "word" if parts[-1] == "word" else "requirements"
    if parts[0] in ("giveaway", "survey") and len(parts) > 1:
        return parts[1]
    return _FIELDS.get(parts[0], parts[0])


def _giveaway(typed: Typed) -> dict[str, Any]:
    word = typed["word"].strip() or None
    needed: list[dict[str, Any]] = [{"kind": each} for each in REQUIREMENTS if each in typed.all("needs")]
    for each in needed:
        if each["kind"] == "comment" and word:
            each["word"] = word
    return {
        "match": typed["match"] or "all",
        "requirements": needed,
        "since_before_start": bool(typed["since_before_start"]),
        "winners": typed["winners"].strip(),
        "alternates": typed["alternates"].strip() or 0,
        "beacon_source": typed["beacon_source"].strip() or None,
    }


def _survey(typed: Typed, asked: Sequence[int]) -> dict[str, Any]:
    questions = []
    for number in asked:
        options = [line.partition(":") for line in typed.lines(f"q{number}.options")]
        questions.append(
            {
                "id": f"q{number}",
                "text": typed[f"q{number}.text"],
                "options": [
                    {
                        "id": f"o{place}",
                        "label": label.strip(),
                        "keywords": [word.strip() for word in words.split(",") if word.strip()],
                    }
                    for place, (label, _, words) in enumerate(options, 1)
                ],
                "post": typed[f"q{number}.post"].strip() or None,
            }
        )
    return {"questions": questions, "form": bool(typed["form"])}


def _sentence(field: str, kind: str, said: str, about: Mapping[str, Any]) -> str:
    name = field.rpartition(".")[2]
    if kind == "string_pattern_mismatch" and name in _PATTERNS:
        return _PATTERNS[name]
    if kind in ("string_too_short", "missing"):
        return "This is required."
    if kind in ("int_parsing", "int_type"):
        return "Enter a whole number."
    if kind == "string_too_long":
        return f"Use at most {about['max_length']} characters."
    if kind == "too_long":
        return f"Enter at most {about['max_length']}."
    if kind == "less_than_equal":
        return f"Enter at most {about['le']}."
    if kind == "greater_than_equal":
        return f"Enter at least {about['ge']}."
    return f"{said.removeprefix('Value error, ').rstrip('.')}."
