"""A file goes through the door in small requests. What was taken is remembered; a broken-off import goes on."""

import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imports import lines, run, sending
from services.imports.checking import Checker
from services.imports.entries import Entry, UnreadableFileError
from services.imports.ledger import Ledger, usual_place
from services.imports.report import MOST_EXAMPLES, MOST_REASONS, OTHERS, Report
from services.imports.run import MOST_BYTES, MOST_ITEMS, Import
from services.imports.sending import Door, NotSentError
from tests.services.imports.files import ACCOUNT, CONNECTED, NOW

SECRET = "s3cret"
Answer = Callable[[list[Any]], httpx.Response]


def accepted(items: list[Any]) -> httpx.Response:
    return httpx.Response(202, json={"accepted": [each["id"] for each in items]})


def problem(
    status: int, detail: str, errors: Sequence[dict[str, Any]] = (), later: int | None = None
) -> httpx.Response:
    headers = {"Retry-After": str(later)} if later is not None else {}
    return httpx.Response(status, json={"detail": detail, "errors": list(errors)}, headers=headers)


class DoorDouble:
    """Answers as told, the last answer again and again, and keeps every request."""

    def __init__(self, *answers: Answer | httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[list[Any]] = []
        self.waited: list[float] = []
        self.told: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        self.requests.append(request)
        self.bodies.append([json.loads(line) for line in body.split(b"\n")])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(self.bodies[-1])

    def door(self) -> Door:
        door = Door(
            "http://door.test/", "acme-desk", SECRET, self.told.append, wait=self.waited.append,
            clock=lambda: sum(self.waited),
        )  # fmt: skip
        door._http = httpx.Client(transport=httpx.MockTransport(self))
        return door


def line(id: str, **more: Any) -> str:
    return json.dumps(
        {"id": id, "kind": "comment", "actor": {"id": "ada"}, "occurred_at": "2026-11-01T10:00:00Z", **more}
    )


def imported(
    text: str, ledger: Path, door: DoorDouble | None, *, per_second: float = 1e9, name: str = "acme/then/acme-desk"
) -> Report:
    """What became of lines."""
    raw = text.encode()
    source = lines.open_lines(io.BytesIO(raw), len(raw))
    report = Report(source, door is None, "")
    remembered = Ledger(ledger, name, trial=door is None)
    try:
        Import(
            source, Checker(source, "acme", ACCOUNT, CONNECTED, NOW), remembered, door.door() if door else None, report,
            per_second=per_second, wait=door.waited.append if door else lambda _: None, clock=lambda: 0.0,
        ).run(lambda _: None)  # fmt: skip
    finally:
        remembered.close()
    return report


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "state" / "imports.sqlite"


def test_each_request_is_signed_and_of_moderate_size_and_nothing_is_missing(ledger: Path) -> None:
    import hashlib
    import hmac

    long = [line(f"long{number}", text="x" * 90_000) for number in range(3)]
    text = "\n".join([*(line(f"c{number}") for number in range(600)), *long])
    door = DoorDouble(accepted)
    report = imported(text, ledger, door)
    assert (report.read, report.taken, report.known) == (603, 603, 0)
    assert [len(body) for body in door.bodies] == [MOST_ITEMS, MOST_ITEMS, 102, 1]
    assert max(len(request.content) for request in door.requests) < MOST_BYTES
    assert len({each["id"] for body in door.bodies for each in body}) == 603
    for request in door.requests:
        digest = hmac.new(SECRET.encode(), request.content, hashlib.sha256).hexdigest()
        assert request.headers["x-rapport-signature-256"] == f"sha256={digest}"
        assert request.headers["x-rapport-account"] == "acme-desk"
        assert str(request.url) == "http://door.test/v1/interactions"


def test_the_same_file_counts_once_and_another_account_is_another_matter(ledger: Path) -> None:
    text = "\n".join([line("a"), line("b"), line("a")])
    door = DoorDouble(accepted)
    assert (imported(text, ledger, door).taken, imported(text, ledger, door).taken) == (2, 0)
    again = imported(text + "\n" + line("c"), ledger, door)
    assert (again.taken, again.known) == (1, 3)
    assert imported(text, ledger, door, name="acme/then/another").taken == 2
    assert imported(text, ledger, door, name="acme/later/acme-desk").taken == 2, "an installation that was made anew"


def test_a_trial_sends_and_notes_nothing_and_counts_as_the_import_will(ledger: Path) -> None:
    text = "\n".join([line("a"), line("b"), line("a"), "{}"])
    trial = imported(text, ledger, None)
    assert (trial.taken, trial.known, trial.wrong) == (2, 1, 1)
    assert [shown.at for shown in trial.preview] == ["line 1", "line 2"]
    assert not ledger.exists()
    assert imported(text, ledger, DoorDouble(accepted)).taken == 2
    after = imported(text, ledger, None)
    assert (after.taken, after.known) == (0, 3)


def test_an_import_that_broke_off_goes_on_where_it_stopped(ledger: Path) -> None:
    text = "\n".join(line(f"c{number}") for number in range(600))
    away = DoorDouble(accepted, httpx.ConnectError("refused"))
    broken = imported(text, ledger, away)
    assert broken.taken == MOST_ITEMS
    assert broken.stopped == "the door at http://door.test does not answer: refused"
    assert 60 < sum(away.waited) <= sending.GIVE_UP_AFTER_SECONDS
    back = DoorDouble(accepted)
    rest = imported(text, ledger, back)
    assert (rest.taken, rest.known, rest.stopped) == (350, 250, None)
    assert back.bodies[0][0]["id"] == "c250"


def test_ctrl_c_keeps_what_was_taken(ledger: Path) -> None:
    def interrupted(_: list[Any]) -> httpx.Response:
        raise KeyboardInterrupt

    text = "\n".join(line(f"c{number}") for number in range(600))
    with pytest.raises(KeyboardInterrupt):
        imported(text, ledger, DoorDouble(accepted, interrupted))
    assert imported(text, ledger, DoorDouble(accepted)).taken == 350


def test_a_busy_door_is_asked_again_as_late_as_it_wants(ledger: Path) -> None:
    door = DoorDouble(problem(503, "Kafka has not confirmed", later=7), problem(429, "busy"), accepted)
    assert imported(line("a"), ledger, door).taken == 1
    assert door.waited[0] == 7
    assert len(door.requests) == 3
    assert "Kafka has not confirmed; trying again in 7 s" in door.told[0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (problem(401, "no account 'acme-desk'"), "refused (401): no account 'acme-desk'"),
        (httpx.Response(404, text="<html>"), "refused (404): <html>"),
        (httpx.Response(202, text="ok"), "is not Rapport's generic door"),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), "refused (302)"),
    ],
)
def test_what_asking_again_does_not_help_ends_the_import_at_once(
    ledger: Path, answer: httpx.Response, why: str
) -> None:
    door = DoorDouble(answer)
    report = imported(line("a"), ledger, door)
    assert report.taken == 0
    assert why in str(report.stopped)
    assert len(door.requests) == 1


def test_what_the_door_alone_refuses_is_left_out_and_the_rest_is_taken(ledger: Path) -> None:
    def strict(items: list[Any]) -> httpx.Response:
        wrong = [{"index": at, "field": "id", "why": "odd"} for at, each in enumerate(items) if each["id"] in "bd"]
        return problem(422, "some are wrong", wrong[:1]) if wrong else accepted(items)

    report = imported("\n".join(line(each) for each in "abcde"), ledger, DoorDouble(strict))
    assert report.taken == 3
    assert report.reasons[run.REFUSED].examples == [("line 2", "id: odd"), ("line 4", "id: odd")]


def test_an_address_that_is_none_is_said() -> None:
    with Door("door.test", "a", "s", print) as door, pytest.raises(NotSentError, match="is not the address of a door"):
        door.send([b"{}"])


def test_old_interactions_leave_room_for_live_ones(ledger: Path) -> None:
    door = DoorDouble(accepted)
    imported("\n".join(line(f"c{number}") for number in range(500)), ledger, door, per_second=100)
    assert door.waited == [2.5, 2.5]


def test_reasons_and_examples_are_few_whatever_a_file_invents(ledger: Path) -> None:
    text = "\n".join(line("x", **{f"field{number}": 1}) for number in range(100))
    report = imported(text + "\n" + line("y", text=7) * 1, ledger, DoorDouble(accepted))
    assert len(report.reasons) == MOST_REASONS + 1
    assert sum(each.count for each in report.reasons.values()) == 101
    assert all(len(each.examples) <= MOST_EXAMPLES for each in report.reasons.values())
    assert report.reasons[OTHERS].count == 101 - MOST_REASONS


@given(st.lists(st.text(max_size=5), max_size=12))
def test_the_ledger_knows_what_it_noted_and_nothing_else(ids: list[str]) -> None:
    trial = Ledger(Path("/nonexistent/imports.sqlite"), "a", trial=True)
    half = ids[: len(ids) // 2]
    trial.note(half)
    assert [trial.knows(each) for each in ids] == [each in half for each in ids]
    trial.close()


def test_where_the_ledger_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAPPORT_LEDGER", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert usual_place() == tmp_path / "rapport" / "imports.sqlite"
    monkeypatch.setenv("RAPPORT_LEDGER", "/elsewhere.sqlite")
    assert usual_place() == Path("/elsewhere.sqlite")


def test_what_is_good_before_a_damage_is_taken(ledger: Path) -> None:
    good = [line(f"c{number}") for number in range(40)]
    source = lines.open_lines(io.BytesIO("\n".join(good).encode()), 1)
    entries = source.entries

    def damaged() -> Iterator[Entry]:
        yield from entries()
        raise UnreadableFileError("it is damaged from here on")

    door, report = DoorDouble(accepted), Report(source, False, "")
    remembered = Ledger(ledger, "acme/then/acme-desk", trial=False)
    checker = Checker(source, "acme", ACCOUNT, CONNECTED, NOW)
    its = dataclasses.replace(source, entries=damaged)
    with pytest.raises(UnreadableFileError):
        Import(its, checker, remembered, door.door(), report, per_second=1e9, wait=door.waited.append).run(
            lambda _: None
        )
    remembered.close()
    assert report.taken == len(good)
