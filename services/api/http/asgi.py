"""Requests and responses between middleware and application."""

from dataclasses import dataclass, field

from rapport.kit.http.asgi import App, Message, Receive, Scope, Send


@dataclass
class Answer:
    """A whole response."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def send(self, send: Send) -> None:
        """Sends it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def header(scope: Scope, name: bytes) -> str | None:
    """A header of a request; None if it is missing."""
    found = [value for given, value in scope["headers"] if given.lower() == name]
    return found[0].decode("latin-1") if found else None


async def whole_body(receive: Receive) -> bytes | None:
    """The body of a request; None if the client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` for a body that was read already, followed by what the original gives."""
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


async def answer_of(app: App, scope: Scope, body: bytes, receive: Receive) -> Answer:
    """The application's response, held back."""
    answer = Answer()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    await app(scope, replayed(body, receive), keep)
    return answer
