"""Handles: shown only where they lead back, with a real DNS server, a real TLS peer and a real PLC directory to ask."""

import asyncio
import contextlib
import ipaddress
import json
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rrset
import httpx
import pytest

from rapport.kit.http.addresses import Address
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.ingest.connectors.bluesky.names.handles import KEPT, KEPT_RENAMED, KEPT_UNVERIFIED, Handles
from services.ingest.connectors.bluesky.names.resolver import DomainResolver, is_handle
from services.ingest.connectors.bluesky.names.verified import VerifiedHandles

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
FAN, SPOOFER = "did:plc:fan", "did:plc:spoofer0000000000000000s"
LOG = logging.getLogger("tests.handles")


class NameServer:
    """Answers TXT questions over UDP from a table of names."""

    def __init__(self, texts: Mapping[str, list[str]]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._texts = texts
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asked, who = self._socket.recvfrom(4096)
                query = dns.message.from_wire(asked)
                answer = dns.message.make_response(query)
                name = query.question[0].name
                found = self._texts.get(str(name).rstrip("."), [])
                if found:
                    answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{text}"' for text in found)))
                else:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                self._socket.sendto(answer.to_wire(), who)

    def close(self) -> None:
        self._socket.close()

    def resolver(self) -> dns.asyncresolver.Resolver:
        found = dns.asyncresolver.Resolver(configure=False)
        found.nameservers, found.port, found.lifetime = ["127.0.0.1"], self.port, 5.0
        return found


class Served:
    """An HTTP server that gives each host and path what a table says; notes what it was asked."""

    def __init__(self, answers: Mapping[str, str], tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers["Host"].partition(":")[0]
                served.asked.append(host + self.path)
                said = answers.get(host + self.path, answers.get(self.path))
                self.send_response(404 if said is None else 200)
                self.end_headers()
                self.wfile.write((said or "").encode())

            def log_message(self, format: str, *args: object) -> None:
                """The tests say what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for the hosts of these tests, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    names = ",".join(f"DNS:{name}.example" for name in ("fan", "web", "page", "long", "two", "none", "nytimes"))
    try:
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=tests",
                "-addext",
                f"subjectAltName={names}",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl, which makes a certificate, is not here")
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


class OnPort(GuardedHttp):
    """Web servers of this test are not on port 443, which takes an administrator."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        async def lookup(host: str, port: int) -> list[Address]:
            return [ipaddress.ip_address("127.0.0.1")]

        super().__init__(Guard(allow_private=True, lookup=lookup), timeout=5, tls=tls)
        self._port = port

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None, *, largest: int = 0
    ) -> tuple[int, httpx.Headers, bytes]:
        there = url.replace(".example/", f".example:{self._port}/")
        return await super().send(method, there, headers, content, largest=largest)


@pytest.fixture
def resolver(certificate: Path) -> Iterator[Callable[[], DomainResolver]]:
    """A resolver on a network of some domains."""
    texts = {
        "_atproto.fan.example": [f"did={FAN}"],
        "_atproto.two.example": [f"did={FAN}", "did=did:plc:other"],
        "_atproto.none.example": ["v=spf1 -all"],
        "_atproto.nytimes.example": ["did=did:plc:newspaper"],
    }
    pages = {
        "web.example/.well-known/atproto-did": f"{FAN}\n",
        "page.example/.well-known/atproto-did": "<html>not found</html>",
        "long.example/.well-known/atproto-did": FAN + " " * 5_000 + "x",
        "nytimes.example/.well-known/atproto-did": SPOOFER,
    }
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    names, web = NameServer(texts), Served(pages, server_side)
    trusting = ssl.create_default_context(cafile=str(certificate))
    yield lambda: DomainResolver(names.resolver(), OnPort(web.port, trusting))
    names.close()
    web.close()


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("handle", "did"),
    [
        ("fan.example", FAN),
        ("web.example", FAN),
        ("two.example", None),
        ("none.example", None),
        ("page.example", None),
        ("nytimes.example", "did:plc:newspaper"),
        ("nowhere.example", None),
        ("fan.test", None),
    ],
)
def test_a_handle_leads_where_its_domain_says(
    resolver: Callable[[], DomainResolver], handle: str, did: str | None
) -> None:
    async def story() -> None:
        found = resolver()
        assert await found.did_of(handle, "https://pds.example") == did
        await found.close()

    run(story)


def directory(documents: Mapping[str, object]) -> Served:
    return Served({f"/{did}": json.dumps(document) for did, document in documents.items()})


def named(*names: str) -> dict[str, object]:
    return {"alsoKnownAs": [f"at://{name}" for name in names]}


def test_only_a_handle_that_leads_back_is_told(resolver: Callable[[], DomainResolver], tmp_path: Path) -> None:
    claims = {
        FAN: named("fan.example"),
        SPOOFER: named("nytimes.example"),
        "did:plc:weird": named("=?utf-8?q?a=0D=0A=0D=0AHi?="),
        "did:plc:second": named("nytimes.example", "fan.example"),
        "did:plc:case": {"alsoKnownAs": "no list"},
    }
    plc = directory(claims)

    async def story() -> None:
        handles = Handles(f"http://127.0.0.1:{plc.port}", VerifiedHandles(tmp_path / "l.sqlite"), LOG, resolver())
        assert await handles.of([*claims, "did:web:stranger.example", "did:plc:nobody"], NOW) == {FAN: "fan.example"}
        asked = len(plc.asked)
        assert await handles.of([*claims], NOW + KEPT_UNVERIFIED - timedelta(seconds=1)) == {FAN: "fan.example"}
        assert len(plc.asked) == asked, "what is known is not asked for again"
        await handles.of([*claims], NOW + KEPT_UNVERIFIED + timedelta(seconds=1))
        assert f"127.0.0.1/{SPOOFER}" in plc.asked[asked:]
        assert f"127.0.0.1/{FAN}" not in plc.asked[asked:]
        await handles.of([FAN], NOW + KEPT + timedelta(seconds=1))
        assert plc.asked[-1] == f"127.0.0.1/{FAN}"
        await handles.close()

    run(story)
    plc.close()


def test_whoever_changed_something_is_looked_up_again_soon_and_others_are_not(tmp_path: Path) -> None:
    claims = {FAN: named("fan.example"), "did:plc:second": named("second.example"), SPOOFER: named("fan.example")}
    plc = directory(claims)
    leads = {"fan.example": FAN, "second.example": "did:plc:second"}

    class Honest(Slow):
        async def did_of(self, handle: str, server: str | None) -> str | None:
            return leads.get(handle)

    async def story() -> None:
        handles = Handles(f"http://127.0.0.1:{plc.port}", VerifiedHandles(tmp_path / "l.sqlite"), LOG, Honest())
        both = {FAN: "fan.example", "did:plc:second": "second.example"}
        assert await handles.of(claims, NOW) == both
        del leads["fan.example"]
        asked = len(plc.asked)
        handles.renamed([FAN, SPOOFER, "did:plc:nobody", "did:web:stranger.example"], NOW)
        assert await handles.of(both, NOW + KEPT_RENAMED - timedelta(seconds=1)) == both
        handles.renamed([FAN], NOW + KEPT_RENAMED - timedelta(seconds=1))  # again and again puts nothing off
        assert len(plc.asked) == asked
        found = await handles.of([*both, SPOOFER], NOW + KEPT_RENAMED + timedelta(seconds=1))
        assert found == {"did:plc:second": "second.example"}
        assert plc.asked[asked:] == [f"127.0.0.1/{FAN}"]
        await handles.close()

    run(story)
    plc.close()


def test_a_handle_that_an_older_version_noted_without_verifying_it_is_forgotten(tmp_path: Path) -> None:
    verified = VerifiedHandles(tmp_path / "l.sqlite")
    verified._file.executescript("CREATE TABLE handle (did TEXT PRIMARY KEY, handle TEXT, asked_at INTEGER)")
    verified._file.execute("INSERT INTO handle VALUES (?, ?, ?)", (SPOOFER, "nytimes.com", int(NOW.timestamp())))
    verified.close()
    verified = VerifiedHandles(tmp_path / "l.sqlite")
    assert verified.find([SPOOFER], NOW - KEPT) == {}
    assert verified._file.execute("SELECT name FROM sqlite_master WHERE name = 'handle'").fetchall() == []


class Slow:
    """A resolver whose strangers never answer until told."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def did_of(self, handle: str, server: str | None) -> str | None:
        await self.answer.wait()
        return FAN

    async def close(self) -> None:
        """Nothing to end."""


def test_slow_hosts_of_strangers_hold_up_one_batch_and_what_they_say_is_known_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plc = directory({FAN: named("fan.example")} | {f"did:plc:{number}": named("x.example") for number in range(9)})
    waits: list[float] = []
    waiting = asyncio.wait

    async def counted(tasks: list[asyncio.Task[None]], **more: float) -> object:
        waits.append(more["timeout"])
        return await waiting(tasks, timeout=0.05)

    monkeypatch.setattr(asyncio, "wait", counted)

    async def story() -> None:
        slow = Slow()
        handles = Handles(f"http://127.0.0.1:{plc.port}", VerifiedHandles(tmp_path / "l.sqlite"), LOG, slow)
        assert await handles.of([FAN], NOW) == {}
        for number in range(9):
            assert await handles.of([f"did:plc:{number}"], NOW) == {}
        assert len(waits) == 1
        slow.answer.set()
        async with asyncio.timeout(20):
            while await handles.of([FAN], NOW) != {FAN: "fan.example"}:  # noqa: ASYNC110 - found out in the background
                await asyncio.sleep(0.01)
        await handles.close()

    run(story)
    plc.close()


def test_on_a_network_of_one_machine_servers_speak_for_their_own_test_handles(tmp_path: Path) -> None:
    pds = Served({"/xrpc/com.atproto.identity.resolveHandle?handle=fan.test": json.dumps({"did": FAN})})
    service = [{"id": "#atproto_pds", "serviceEndpoint": f"http://localhost:{pds.port}"}]
    plc = directory({did: {**named("fan.test"), "service": service} for did in (FAN, SPOOFER)})

    async def story() -> None:
        for allowed, found in ((False, {}), (True, {FAN: "fan.test"})):
            resolver = DomainResolver.usual(allow_private=allowed)
            verified = VerifiedHandles(tmp_path / f"{allowed}.sqlite")
            handles = Handles(f"http://127.0.0.1:{plc.port}", verified, LOG, resolver)
            assert await handles.of([FAN, SPOOFER], NOW) == found
            await handles.close()

    run(story)
    pds.close()
    plc.close()


@pytest.mark.parametrize("text", ["nytimes.com", "xn--mller-kva.example", "a-b.c0.example"])
def test_a_handle_is_a_domain_name(text: str) -> None:
    assert is_handle(text)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "a..b", ".a.b", "a.b.", "-a.b", "127.0.0.1", "a.b/c", "a.b:80", "a.b?c", "a@b.c", "A.B", "a.b\n",
     "=?utf-8?q?a?="],
)  # fmt: skip
def test_anything_else_is_not(text: str) -> None:
    assert not is_handle(text)
