"""Sessions, visitors behind proxies, and how often a wrong key may be tried, over real HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.http import rates
from tests.services.api.conftest import ADMIN_KEY, Served, serve, settings_for

pytestmark = pytest.mark.stack

WRONG = "rp_test_abcdef_" + "0" * 64


@pytest.fixture
def replicas(stack: Running, views: Database[Document]) -> Iterator[tuple[Served, Served]]:
    """Two processes' worth of one installation; the second one is behind a proxy on this machine."""
    settings = settings_for(stack.kafka, stack.mongodb, views.name)
    behind = settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"})
    for one in serve(settings, ready=True):
        for other in serve(behind, ready=True):
            yield one, other


def logged_in(served: Served, **headers: str) -> tuple[str, str]:
    """The cookie of a new session, and the whole header that set it."""
    answer = served.with_key(None).post("/login", data={"key": ADMIN_KEY}, headers=headers)
    assert answer.status_code == 303, answer.text
    return answer.cookies["rapport_session"], answer.headers["set-cookie"]


def gets_in(served: Served, cookie: str) -> bool:
    return served.with_key(None).get("/", headers={"Cookie": f"rapport_session={cookie}"}).status_code == 200


def test_logging_out_ends_every_copy_of_the_cookie_at_every_replica(
    replicas: tuple[Served, Served], views: Database[Document]
) -> None:
    one, other = replicas
    cookie, _ = logged_in(one)
    another, _ = logged_in(one)
    assert gets_in(one, cookie)
    assert gets_in(other, cookie)
    assert other.with_key(None).post("/logout", headers={"Cookie": f"rapport_session={cookie}"}).status_code == 303
    assert not gets_in(one, cookie)
    assert not gets_in(other, cookie)
    assert gets_in(other, another)
    # What is stored opens nothing, and a session that is over opens nothing either.
    [stored] = views["sessions"].find()
    assert another not in str(stored)
    assert not gets_in(one, stored["_id"])
    views["sessions"].update_one({}, {"$set": {"until": datetime.now(UTC) - timedelta(seconds=1)}})
    assert not gets_in(one, another)


@pytest.mark.parametrize("cookie", ["", ".", "é", "admin.9999999999.x", "x" * 4000, "%00", '"', "a\x01"])
def test_a_cookie_that_nobody_was_given_opens_nothing(replicas: tuple[Served, Served], cookie: str) -> None:
    answer = replicas[0].with_key(None).get("/", headers={b"Cookie": b"rapport_session=" + cookie.encode()})
    assert answer.status_code in (303, 400)


def test_the_cookie_is_secure_where_a_trusted_proxy_says_that_the_visitor_came_by_tls(
    replicas: tuple[Served, Served],
) -> None:
    alone, behind = replicas
    assert "secure" not in logged_in(alone, **{"X-Forwarded-Proto": "https"})[1].lower()
    assert "secure" not in logged_in(behind)[1].lower()
    assert "secure" in logged_in(behind, **{"X-Forwarded-Proto": "https"})[1].lower()


def tried(served: Served, times: int, by: str) -> list[httpx.Response]:
    """Wrong keys of a visitor, at the login and at the API in turn."""
    with served.with_key(None) as client:
        return [
            client.post("/login", data={"key": WRONG}, headers={"X-Forwarded-For": by})
            if number % 2
            else client.get("/v1/brands", headers={"Authorization": f"Bearer {WRONG}", "X-Forwarded-For": by})
            for number in range(times)
        ]


def test_wrong_keys_are_counted_by_visitor_and_not_by_proxy(replicas: tuple[Served, Served]) -> None:
    alone, behind = replicas
    most = rates.FAILURES.amount
    said = [answer.status_code for answer in tried(behind, most + 4, "203.0.113.7")]
    assert set(said[:most]) == {401}
    assert set(said[most:]) == {429}
    late = tried(behind, 1, "203.0.113.7")[0]
    assert 1 <= int(late.headers["retry-after"]) <= 60
    assert late.json()["type"] == "urn:rapport:problem:too-many-requests"
    # Neither the proxy, nor who is behind it beside them, nor a right key.
    assert tried(behind, 1, "203.0.113.8")[0].status_code == 401
    with behind.with_key(ADMIN_KEY) as client:
        assert client.get("/v1/brands", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == 200
    # Without a trusted proxy the header makes nobody another.
    said = [tried(alone, 1, f"203.0.113.{number}")[0].status_code for number in range(most + 1)]
    assert said[-1] == 429
