"""A Bluesky network of one PDS, and people on it, over the interface that every Bluesky app uses."""

import contextlib
import json
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.platforms.bluesky.install import NODE, installed

PASSWORD = "not-a-secret-here"


@dataclass(frozen=True)
class Ref:
    """A record, by address and version; for a post, also the root of its thread."""

    uri: str
    cid: str
    root: "Ref | None" = None

    @property
    def strong(self) -> dict[str, str]:
        """As records refer to it."""
        return {"uri": self.uri, "cid": self.cid}


@dataclass(frozen=True)
class Person:
    """Someone with an account on the network."""

    did: str
    handle: str
    pds: str
    token: str

    def post(
        self,
        text: str,
        *,
        reply: Ref | None = None,
        mentions: Sequence["Person"] = (),
        quote: Ref | None = None,
        created_at: datetime | None = None,
        **more: Any,
    ) -> Ref:
        """Writes a post. Each of `mentions` is named at its end, as a facet."""
        record: dict[str, Any] = {
            "$type": "app.bsky.feed.post",
            "text": text,
            "createdAt": _time(created_at),
            "langs": ["en"],
            **more,
        }
        root = None
        if reply is not None:
            root = reply.root or reply
            record["reply"] = {"root": root.strong, "parent": reply.strong}
        if quote is not None:
            record["embed"] = {"$type": "app.bsky.embed.record", "record": quote.strong}
        for person in mentions:
            start = len(record["text"].encode()) + 1
            record["text"] += f" @{person.handle}"
            feature = {"$type": "app.bsky.richtext.facet#mention", "did": person.did}
            place = {"byteStart": start, "byteEnd": len(record["text"].encode())}
            record.setdefault("facets", []).append({"index": place, "features": [feature]})
        made = self._create("app.bsky.feed.post", record)
        return Ref(made.uri, made.cid, root)

    def like(self, ref: Ref) -> Ref:
        """Likes a post."""
        return self._create("app.bsky.feed.like", {"subject": ref.strong, "createdAt": _time()})

    def repost(self, ref: Ref) -> Ref:
        """Reposts a post."""
        return self._create("app.bsky.feed.repost", {"subject": ref.strong, "createdAt": _time()})

    def follow(self, person: "Person") -> Ref:
        """Follows someone."""
        return self._create("app.bsky.graph.follow", {"subject": person.did, "createdAt": _time()})

    def block(self, person: "Person") -> Ref:
        """Blocks someone."""
        return self._create("app.bsky.graph.block", {"subject": person.did, "createdAt": _time()})

    def hide(self, post: Ref, *replies: Ref, **more: Any) -> Ref:
        """Hides exactly these replies in the thread of a post of their own. `more` is what else its gate says."""
        record = {"post": post.uri, "hiddenReplies": [reply.uri for reply in replies], "createdAt": _time(), **more}
        where = {**self._place(post), "collection": "app.bsky.feed.threadgate"}
        made = self._call("POST", "com.atproto.repo.putRecord", json={**where, "record": record})
        return Ref(made["uri"], made["cid"])

    def edit(self, ref: Ref, text: str) -> Ref:
        """Gives a post another text."""
        where = self._place(ref)
        found = self._call("GET", "com.atproto.repo.getRecord", params=where)
        body = {**where, "record": {**found["value"], "text": text}}
        made = self._call("POST", "com.atproto.repo.putRecord", json=body)
        return Ref(made["uri"], made["cid"], ref.root)

    def delete(self, ref: Ref) -> None:
        """Deletes a record: a post, or a like, repost or follow taken back."""
        self._call("POST", "com.atproto.repo.deleteRecord", json=self._place(ref))

    def records(self, collection: str) -> list[dict[str, Any]]:
        """What they have of a collection: `uri`, `cid` and `value` of each, the newest first."""
        query = {"repo": self.did, "collection": collection, "limit": 100}
        found: list[dict[str, Any]] = self._call("GET", "com.atproto.repo.listRecords", params=query)["records"]
        return found

    def _create(self, collection: str, record: dict[str, Any]) -> Ref:
        body = {"repo": self.did, "collection": collection, "record": record}
        made = self._call("POST", "com.atproto.repo.createRecord", json=body)
        return Ref(made["uri"], made["cid"])

    def _place(self, ref: Ref) -> dict[str, str]:
        _, _, repo, collection, rkey = ref.uri.split("/")
        return {"repo": repo, "collection": collection, "rkey": rkey}

    def _call(self, verb: str, method: str, **more: Any) -> Any:
        return _call(verb, f"{self.pds}/xrpc/{method}", headers={"Authorization": f"Bearer {self.token}"}, **more)


class Network:
    """The servers, from `with` to its end. Raises NotInstallableError where this machine cannot have them."""

    pds: str
    plc: str

    def __enter__(self) -> Self:
        folder = installed()
        self._data = tempfile.TemporaryDirectory(prefix="rapport-bluesky-")
        plc_port, pds_port = _free_ports(2)
        errors = Path(self._data.name) / "errors.log"
        with errors.open("w") as log:
            self._process = subprocess.Popen(
                [str(NODE), "--require", "./loopback.cjs", "network.mjs", str(plc_port), str(pds_port)],
                cwd=folder,
                # Its databases go to the folder for temporary files, and nothing of ours concerns it.
                env={"TMPDIR": self._data.name, "PATH": "/usr/bin:/bin", "LOG_ENABLED": "false"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Bluesky's servers did not start: {errors.read_text()[-3000:]}")
        urls = json.loads(line)
        self.pds, self.plc = urls["pds"], urls["plc"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._data.cleanup()

    def create_account(self, name: str) -> Person:
        """A new person with the handle `name`.test."""
        handle = f"{name}.test"
        body = {"handle": handle, "email": f"{name}@example.test", "password": PASSWORD}
        made = _call("POST", f"{self.pds}/xrpc/com.atproto.server.createAccount", json=body)
        return Person(made["did"], handle, self.pds, made["accessJwt"])


def _call(verb: str, url: str, **more: Any) -> Any:
    answer = httpx.request(verb, url, timeout=30, **more)
    if answer.is_error:
        raise RuntimeError(f"{verb} {url}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _time(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
