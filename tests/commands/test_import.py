"""`rapport import` as somebody types it, against an API and a door that answer as the real ones do."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rapport.cli import app
from services.imports.history import NOTIFICATIONS
from tests.platforms.bluesky.appview import AppView

ACME, FAN = "did:plc:acme", "did:plc:fan"
LONG_AGO, HOUR = datetime(2026, 11, 11, tzinfo=UTC), timedelta(hours=1)
ACCOUNT: dict[str, Any] = {
    "id": "museum-desk", "platform": "desk", "handle": "Desk", "staff": [], "connected_at": "2026-11-20T00:00:00Z",
    "disconnected_at": None,
}  # fmt: skip
ROWS = (
    "id,kind,actor_id,actor_name,text,occurred_at\n"
    "c1,comment,ada,Ada,When do you open?,01.11.2026 10:00\n"
    "c2,comment,bo,Bo\x1b[31m,=1+1,2026-11-02 10:00\n"
    "c3,comment,bo,Bo,late,2026-11-21 10:00\n"
)


class Server(ThreadingHTTPServer):
    """API and door in one."""

    taken: list[str]
    away = False


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        brands = {"items": [{"id": "museum", "timezone": "Europe/Berlin", "created_at": "2026-01-01T00:00:00Z"}]}
        accounts = {"items": [ACCOUNT]} if self.path.endswith("/accounts") else brands
        self._answer(200, ACCOUNT if "/accounts/" in self.path else accounts)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).split(b"\n")
        if self.server.away:
            self._answer(401, {"detail": "no account 'museum-desk'"})
            return
        ids = [json.loads(line)["id"] for line in body]
        self.server.taken += ids
        self._answer(202, {"accepted": ids})

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.taken = []
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in (
        ("API_URL", address), ("DOOR_URL", address), ("KEY", "k"), ("DOOR_SECRET", "s"),
        ("LEDGER", str(tmp_path / "imports.sqlite")),
    ):  # fmt: skip
        monkeypatch.setenv(f"RAPPORT_{name}", value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(ROWS)
    yield server
    server.shutdown()
    server.server_close()


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["import", "museum", "museum-desk", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_a_trial_shows_how_the_file_is_read_and_imports_nothing(server: Server) -> None:
    said = run("rows.csv", "--dry-run").stdout
    assert server.taken == []
    assert "comma between cells, UTF-8; times without an offset are those of Europe/Berlin" in said
    assert "slashes" not in said, "there are none"
    assert "2026-11-01T09:00:00+00:00" in said
    assert "01.11.2026 10:00" in said
    assert "2 would be taken, 0 already known, of 3 read" in said
    assert "written after the account was connected" in said
    assert "line 4: 2026-11-21T09:00:00+00:00 is not before 2026-11-20T00:00:00+00:00" in said
    assert "\x1b[31m" not in said, "a file cannot write to the terminal"


def test_what_is_taken_is_taken_once(server: Server) -> None:
    assert "2 taken, 0 already known, of 3 read" in run("rows.csv").stdout
    assert "0 taken, 2 already known, of 3 read" in run("rows.csv").stdout
    assert server.taken == ["c1", "c2"]


def test_the_report_for_programs_has_every_reason(server: Server) -> None:
    Path("rows.csv").write_text(ROWS + "c4,coment,bo,Bo,x,2026-11-02 10:00\n")
    report = json.loads(run("rows.csv", "--json", code=3).stdout)
    assert (report["read"], report["taken"], report["already_known"]) == (4, 2, 0)
    assert [(each["reason"], each["count"], each["wrong"]) for each in report["left_out"]] == [
        ("kind is missing or wrong", 1, True),
        ("written after the account was connected", 1, False),
    ]
    assert report["left_out"][0]["examples"][0]["at"] == "line 5"
    assert report["stopped"] is None


def test_a_door_that_refuses_is_one_sentence_and_the_next_run_goes_on(server: Server) -> None:
    server.away = True
    broken = run("rows.csv", code=1)
    assert broken.stderr.splitlines()[-1].startswith("rapport: the door at http://127.0.0.1:")
    assert broken.stderr.splitlines()[-1].endswith("refused (401): no account 'museum-desk'; run it again to go on")
    server.away = False
    assert "2 taken" in run("rows.csv").stdout


def test_ctrl_c_ends_with_the_report_and_its_own_code(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("services.imports.run.Import._take", interrupted)
    said = run("rows.csv", code=130)
    assert "0 taken" in said.stdout
    assert said.stderr.splitlines()[-1] == "rapport: stopped by Ctrl-C; run it again to go on"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("missing.csv",), 1, "missing.csv: No such file"),
        ((".",), 1, ". is not a file"),
        (("rows.csv", "--format", "xml"), 2, "'xml' is not csv, ndjson, mastodon or bluesky"),
        (("rows.csv", "--format", "ndjson"), 1, "rows.csv cannot be read: it is not NDJSON"),
        (("rows.csv", "--format", "bluesky"), 1, "the account 'museum-desk' is on 'desk'"),
        (("rows.csv", "--format", "mastodon"), 1, "neither a zip nor a tar"),
        (("rows.csv", "--dates", "up"), 2, "'up' is not day-first or month-first"),
        (("rows.csv", "--timezone", "Mars/Olympus"), 2, "'Mars/Olympus' is not a time zone"),
        (("rows.csv", "--before", "yesterday"), 2, "'yesterday' is not a time such as"),
        (("rows.csv", "--before", "0001-01-01T00:00:00+14:00"), 2, "is not a time such as"),
        (("rows.csv", "--since", "2026-11-01T00:00:00"), 2, "'2026-11-01T00:00:00' is not a time such as"),
        (("rows.csv", "--since", "2026-11-32"), 2, "'2026-11-32' is not a time such as"),
        (("rows.csv", "--did", "did:plc:acme"), 2, "a file says itself whose it is"),
        ((), 1, "only accounts on Bluesky can be asked, and 'museum-desk' is on 'desk'"),
        (("--format", "csv"), 2, "there is none"),
        (("rows.csv", "--ledger", "/proc/nothing/imports.sqlite"), 1, "/proc/nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_said_in_one_sentence(
    server: Server, words: tuple[str, ...], code: int, why: str
) -> None:
    said = run(*words, code=code).stderr.strip().splitlines()
    assert why in said[-1]
    assert said[-1].startswith("rapport: ")
    assert server.taken == []


def test_without_the_secret_it_says_where_to_put_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAPPORT_DOOR_SECRET")
    assert "set RAPPORT_DOOR_SECRET" in run("rows.csv", code=1).stderr
    assert run("rows.csv", "--dry-run").exit_code == 0


def test_what_is_older_can_be_asked_for(server: Server) -> None:
    run("rows.csv", "--before", "2026-11-02T00:00:00Z")
    assert server.taken == ["c1"]
    run("rows.csv", "--before", "2027-01-01T00:00:00Z")
    assert server.taken == ["c1", "c2"], "never after the connection"


def test_what_is_newer_can_be_asked_for(server: Server) -> None:
    assert "written before --since" in run("rows.csv", "--since", "2026-11-02").stdout
    assert server.taken == ["c2"]


@pytest.fixture
def network(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppView]:
    """A Bluesky on which the account is."""
    monkeypatch.setitem(ACCOUNT, "platform", "bluesky")
    with AppView(ACME, "museum.test") as network:
        for name, value in (
            ("ALLOW_PRIVATE", "true"), ("PLC_DIRECTORY", network.address), ("BLUESKY_PASSWORD", network.password),
        ):  # fmt: skip
            monkeypatch.setenv(f"RAPPORT_{name}", value)
        network.leads["fan.test"] = FAN
        network.handles[FAN] = "fan.test"
        post = network.post(ACME, "New hours", LONG_AGO)
        network.post(FAN, "When do you open?\x1b[31m", LONG_AGO + HOUR, reply=post)
        network.raw.append(("2026-11-11T02:00:00.000Z", {"uri": "at://\x1b[31m"}))
        yield network


def test_bluesky_is_asked_where_there_is_no_file(server: Server, network: AppView) -> None:
    trial = run("--did", ACME, "--dry-run").stdout
    assert server.taken == []
    assert f"bluesky of {ACME}; 6 requests to {network.address}" in trial
    assert "2 would be taken, 0 already known, of 3 read" in trial
    assert "broken records" in trial
    assert "\x1b[31m" not in trial
    report = json.loads(run("--did", ACME, "--json").stdout)
    assert (report["file"], report["format"], report["taken"], len(server.taken)) == (None, "bluesky", 2, 2)
    assert "the handles of 1 of 1 people are confirmed by their domains" in report["notes"]
    assert "0 taken, 2 already known, of 3 read" in run("--did", ACME).stdout


def test_what_bluesky_refuses_is_one_sentence(
    server: Server, network: AppView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_BLUESKY_PASSWORD", "wrong")
    (said,) = [line for line in run("--did", ACME, code=1).stderr.splitlines() if line.startswith("rapport: ")]
    assert said == "rapport: the history of 'museum-desk' cannot be read: its server does not accept its app password"
    assert server.taken == []
    monkeypatch.delenv("RAPPORT_BLUESKY_PASSWORD")
    assert "set RAPPORT_BLUESKY_PASSWORD to an app password" in run("--did", ACME, code=1).stderr


def test_what_bluesky_told_before_it_failed_is_taken(server: Server, network: AppView) -> None:
    network.answer(NOTIFICATIONS, 400, {"error": "InvalidRequest", "message": "Not now"})
    said = run("--did", ACME, code=1)
    assert "1 taken" in said.stdout
    why = "its history cannot be read any further: the platform refused it: Not now; run it again to go on"
    assert said.stderr.splitlines()[-1] == f"rapport: {why}"
    assert "1 taken, 1 already known" in run("--did", ACME).stdout


def test_ctrl_c_while_bluesky_is_asked_imports_nothing(
    server: Server, network: AppView, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("services.imports.history.open_history", interrupted)
    said = run("--did", ACME, code=130).stderr.splitlines()[-1]
    assert said == "rapport: stopped by Ctrl-C; nothing was imported"
    assert server.taken == []
