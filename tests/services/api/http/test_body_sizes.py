"""A file as large as its reader promises gets past the limit of the body."""

import gzip
import json

import pytest

from services.api.http.files import sizes as body_sizes
from services.api.http.files.sizes import LARGEST_BODY, LARGEST_FILE, LARGEST_FORM_OF_A_FILE
from services.api.openapi import document
from services.api.policies.holidays import service as holidays
from tests.services.api.conftest import Served

FILES = ("text/csv", "text/calendar")


def test_every_route_that_takes_a_file_has_room_for_it() -> None:
    found = [
        path
        for path, operations in json.loads(document())["paths"].items()
        for operation in operations.values()
        if any(each.startswith(FILES) for each in operation.get("requestBody", {}).get("content", {}))
    ]
    assert len(found) == 3
    assert {body_sizes.largest_body(path) for path in found} == {LARGEST_FILE + 1}
    assert holidays.MOST_BYTES == LARGEST_FILE


def test_forms_of_files_have_room_for_the_file_as_a_form_sends_it() -> None:
    for path in ("/brands/acme/calendar/file", "/brands/acme/identities/file"):
        assert body_sizes.largest_body(path) == LARGEST_FORM_OF_A_FILE
    assert body_sizes.largest_body("/brands/acme/mix/settings") == LARGEST_BODY
    assert body_sizes.largest_body("/v1/brands") == LARGEST_BODY


@pytest.mark.stack
def test_a_compressed_body_is_refused_in_words(api: Served) -> None:
    body = gzip.compress(json.dumps({"id": "acme", "name": "Acme", "timezone": "UTC"}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = api.client.post("/v1/brands", content=body, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (415, "send the body as it is, not compressed")
    same = {"Content-Encoding": "identity", "Content-Type": "application/json"}
    assert api.client.post("/v1/brands", content=gzip.decompress(body), headers=same).status_code == 201


@pytest.mark.stack
def test_a_calendar_file_of_the_promised_size_is_read_and_a_larger_one_refused_in_words(api: Served) -> None:
    api.brand("acme")
    path = "/v1/brands/acme/policy/holidays"
    ics = b"BEGIN:VCALENDAR\r\nX-PADDING:%b\r\nEND:VCALENDAR\r\n"
    fits = ics % (b"x" * (holidays.MOST_BYTES - len(ics) + 2))
    assert len(fits) == holidays.MOST_BYTES
    assert api.client.post(path, content=fits).status_code == 200
    answer = api.client.post(path, content=fits + b"\n")
    assert (answer.status_code, "more than 1048576 bytes" in answer.text) == (422, True)
    assert api.client.post(path, content=fits * 2).status_code == 413
