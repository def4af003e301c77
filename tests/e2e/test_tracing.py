"""One interaction is one trace, from the door to the delivery of the alert about it, across processes and hours."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from rapport.contracts.topics import ALERTS, CONVERSATIONS, EXCHANGES
from rapport.local.installation import Installation
from rapport.local.running_installation import RunningInstallation
from rapport.local.servers.stack import Running
from tests.e2e.conftest import PROGRESS
from tests.services.ingest.service import Ingest, brand_with, helpdesk, publish, tell
from tests.services.notifier.receivers import Answer, WebhookReceiver
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

CALLER = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        """With the names of the services that they are from."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """The test says what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keeps what a process sent."""
        for each in request.resource_spans:
            (service,) = (it.value.string_value for it in each.resource.attributes if it.key == "service.name")
            self.spans += [(service, span) for scope in each.scope_spans for span in scope.spans]

    def of_interaction(self, id: str) -> list[tuple[str, Span]]:
        """The whole trace of an interaction."""
        traces = {span.trace_id for _, span in self.spans if told(span).get("rapport.interaction") == id}
        return [each for each in self.spans if each[1].trace_id in traces]

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


def told(span: Span) -> dict[str, Any]:
    """The attributes of a span."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def webhooks() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()
    yield found
    found.close()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[RunningInstallation]:
    installation = Installation()
    settings = {
        "RAPPORT_TRACES": collector.address,
        "RAPPORT_ALLOW_PRIVATE": "true",
        "RAPPORT_TICK_SECONDS": "0.5",
        "RAPPORT_BREACH_GRACE_SECONDS": "0.5",
    }
    try:
        yield installation.start(tmp_path_factory.mktemp("traced"), PROGRESS, settings, any_port=True)
    finally:
        installation.stop()


def test_an_interaction_can_be_followed_from_the_door_to_the_delivery(
    line: RunningInstallation, collector: Collector, webhooks: WebhookReceiver
) -> None:
    webhooks.answers["/acme"].append(Answer(503))  # the second attempt arrives
    headers = {"Authorization": f"Bearer {line.admin_key}"}
    with httpx.Client(base_url=f"{line.api}/v1", headers=headers, timeout=30) as api:

        def said(verb: str, path: str, body: Any) -> Any:
            answer = api.request(verb, path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        said("POST", "/brands", {"id": "acme", "name": "Acme", "timezone": "UTC"})
        said("PUT", "/brands/acme/policy", {"rules": [{"target_seconds": 3, "warn_at": []}]})
        webhook = webhooks.channel("crm", "/acme")
        channel = {"type": "webhook", "id": "crm", "url": webhook.url, "secret": webhook.secret}
        said("PUT", "/brands/acme/channels", {"channels": [channel]})
        account = {"id": "acme-help", "platform": "helpdesk", "handle": "Help"}
        secret = said("POST", "/brands/acme/accounts", account)["door_secret"]
    message = {"id": "m-1", "kind": "message", "actor": {"id": "bo"}, "text": "Is anybody there?"}
    caller = {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
    until(lambda: tell(line.ingest, "acme-help", secret, [], **caller).status_code == 202, "the door knows the account")
    assert tell(line.ingest, "acme-help", secret, message, **caller).status_code == 202

    def attempts() -> list[Span]:
        return [span for _, span in collector.of_interaction("m-1") if span.name == "deliver"]

    until(lambda: len(attempts()) == 2, lambda: f"both attempts to deliver are told: {collector.spans}")
    found: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for service, span in collector.of_interaction("m-1"):
        found[service, span.name].append(span)

    (received,) = found["rapport-ingest", "receive"]
    assert not received.parent_span_id
    assert [each.trace_id.hex() for each in received.links] == [CALLER]
    about = {"brand": "acme", "platform": "helpdesk", "interaction": "m-1", "kind": "message"}
    assert told(received) == {f"rapport.{name}": value for name, value in about.items()}
    exchanges = [each for each in found["rapport-scorer", "score"] if told(each)["rapport.agent"] == "exchanges"]
    assert [each.parent_span_id for each in exchanges] == [received.span_id]
    relationships = [each for each in found["rapport-scorer", "score"] if told(each)["rapport.agent"] != "exchanges"]
    assert {each.parent_span_id for each in relationships} == {exchanges[0].span_id}
    shown = {told(each)["rapport.topic"]: each for each in found["rapport-projector", "show"]}
    assert shown[CONVERSATIONS.name].parent_span_id == received.span_id
    assert shown[EXCHANGES.name].parent_span_id == exchanges[0].span_id
    # Nobody wrote anything when it fell due, and yet its alert is in the same trace.
    (decided,) = [each for each in found["rapport-scorer", "decide"] if told(each)["rapport.step"] == "breach"]
    assert decided.parent_span_id == received.span_id
    assert shown[ALERTS.name].parent_span_id == decided.span_id
    (taken,) = found["rapport-notifier", "take"]
    assert taken.parent_span_id == decided.span_id
    delivered = sorted(found["rapport-notifier", "deliver"], key=lambda each: each.start_time_unix_nano)
    assert [each.parent_span_id for each in delivered] == [taken.span_id] * 2
    assert [told(each)["rapport.attempt"] for each in delivered] == [1, 2]
    assert [each.status.code for each in delivered] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET]
    # Nothing in it is what people wrote, or who they are.
    everything = str(collector.spans)
    assert "anybody there" not in everything
    assert '"bo"' not in everything


def test_a_collector_that_is_away_holds_nothing_up_and_is_said(stack: Running, tmp_path: Path) -> None:
    account = helpdesk()
    publish(stack.kafka, brand_with(account))
    ingest = Ingest(stack.kafka, tmp_path, RAPPORT_TRACES="http://127.0.0.1:1")
    try:
        ingest.start().ready()
        ingest.knows(account)
        message = {"kind": "message", "actor": {"id": "bo"}, "text": "Hello?"}
        for number in range(20):
            assert ingest.post(account, {**message, "id": f"m-{number}"}).status_code == 202
        until(lambda: "opentelemetry" in ingest.log.read_text(), "the log says that traces are lost")
        assert ingest.status("/readyz") == 200
        assert ingest.stop() == 0
    finally:
        ingest.close()
    lines = ingest.log.read_text().splitlines()
    assert sum("opentelemetry" in line for line in lines) < 20
