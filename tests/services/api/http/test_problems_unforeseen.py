"""Errors that no handler has foreseen: a problem or page with an id that the log has, and the connection goes on."""

import csv
import http.client
import json
import logging
from typing import Any
from urllib.parse import urlsplit

import bson
import pymongo.errors
import pytest
from pydantic import BaseModel, ValidationError

from services.api.alerts import routes as alerts
from services.api.exchanges import pages as exchanges
from services.api.http.problems import of
from tests.services.api.conftest import ADMIN_KEY, Served

pytestmark = pytest.mark.stack


class Numbered(BaseModel):
    number: int


def _validation() -> Exception:
    try:
        Numbered.model_validate({"number": "x"})
    except ValidationError as error:
        return error
    raise AssertionError


def _bson(value: Any) -> Exception:
    try:
        bson.encode(value)
    except Exception as error:
        return error
    raise AssertionError


UNFORESEEN = [
    (RuntimeError("oops"), 500),
    (KeyError("oops"), 500),
    (pymongo.errors.OperationFailure("oops", 2), 500),
    (pymongo.errors.PyMongoError("oops"), 500),
    (pymongo.errors.InvalidOperation("oops"), 500),
    (_validation(), 503),  # nothing was sent that could be wrong
    (_bson({"a\0b": 1}), 422),
    (_bson({"a": 1 << 70}), 422),
    (_bson({"a": "\ud800"}), 422),
    (pymongo.errors.DocumentTooLarge("oops"), 422),
    (pymongo.errors.WriteError("oops", 17419), 422),
    (OverflowError("date value out of range"), 422),
    (RecursionError("oops"), 422),
    (csv.Error("oops"), 422),
    (pymongo.errors.DuplicateKeyError("oops"), 409),
    (pymongo.errors.ServerSelectionTimeoutError("oops"), 503),
    (pymongo.errors.NotPrimaryError("oops"), 503),
    (pymongo.errors.ExecutionTimeout("oops"), 503),
    (TimeoutError("oops"), 503),
    (pymongo.errors.WTimeoutError("oops"), 503),
    (pymongo.errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}), 503),
    (pymongo.errors.BulkWriteError({"writeErrors": [{"code": 2}], "writeConcernErrors": []}), 500),
]


def test_what_was_sent_and_does_not_fit_is_the_senders_mistake() -> None:
    assert of(_validation(), {"type": "http", "method": "POST"}).status == 422


@pytest.mark.parametrize(("error", "status"), UNFORESEEN, ids=lambda value: type(value).__name__)
def test_an_error_becomes_a_problem_with_an_id_and_the_next_request_on_the_connection_works(
    api: Served,
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(*_: Any) -> Any:
        raise error

    api.brand("acme")
    login = api.client.post("/login", data={"key": ADMIN_KEY})
    place = urlsplit(api.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Cookie": f"rapport_session={login.cookies['rapport_session']}"}

    def get(path: str, accept: str = "*/*") -> tuple[int, str]:
        connection.request("GET", path, headers={**headers, "Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    assert get("/v1/brands/acme/alerts")[0] == 200
    first = connection.sock
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(alerts, "page_of_alerts", fails)
        patched.setattr(exchanges, "page_of_exchanges", fails)
        said, document = get("/v1/brands/acme/alerts")
        shown, html = get("/brands/acme/exchanges", "text/html")
    problem = json.loads(document)
    assert (said, shown) == (status, status)
    assert problem["id"] in caplog.text
    assert "oops" not in document + html
    assert "If it happens again, report this number" in html
    assert html.partition("<code>")[2].partition("</code>")[0] in caplog.text
    assert get("/v1/brands/acme/alerts")[0] == 200
    assert connection.sock is first
    connection.close()
