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
from tests.services.api.web.form_browser import forms_in

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


def test_no_script_reads_the_cookie_and_it_comes_along_from_a_link_elsewhere(replicas: tuple[Served, Served]) -> None:
    said = {each.strip().lower() for each in logged_in(replicas[0])[1].split(";")}
    assert {"httponly", "samesite=lax", "path=/"} <= said


def test_a_link_in_a_mail_leads_through_the_login_to_its_page(replicas: tuple[Served, Served]) -> None:
    served = replicas[0]
    served.brand("acme")
    wanted = "/brands/acme/calendar?view=month&day=2031-05-01"
    from_a_mail = {"Sec-Fetch-Site": "cross-site", "Referer": "https://mail.example/", "Accept": "text/html"}
    with served.with_key(None) as client:
        asked = client.get(wanted, headers=from_a_mail)
        assert asked.status_code == 303
        [form] = forms_in(client.get(asked.headers["location"], headers=from_a_mail).text)
        own = {"Sec-Fetch-Site": "same-origin", "Origin": served.url}
        answer = client.post(form.action, data={**dict(form.fields), "key": ADMIN_KEY}, headers=own)
        assert (answer.status_code, answer.headers["location"]) == (303, wanted)
        assert "May 2031" in client.get(wanted, headers=from_a_mail).text


def test_a_session_ends_with_the_key_that_opened_it(replicas: tuple[Served, Served], views: Database[Document]) -> None:
    one, other = replicas
    for end in ("expired", "revoked"):
        key = one.key(None, "read")
        its_id = key.split("_")[2]
        cookie = one.with_key(None).post("/login", data={"key": key}).cookies["rapport_session"]
        assert gets_in(other, cookie)
        if end == "expired":
            views["keys"].update_one({"_id": its_id}, {"$set": {"expires_at": datetime.now(UTC)}})
        else:
            assert one.client.delete(f"/v1/keys/{its_id}").status_code == 204
        assert not gets_in(one, cookie)
        assert not gets_in(other, cookie)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_other_site_logs_somebody_in_or_out(replicas: tuple[Served, Served], headers: dict[str, str]) -> None:
    served = replicas[0]
    cookie, _ = logged_in(served)
    with served.with_key(None) as client:
        assert client.post("/login", data={"key": ADMIN_KEY}, headers=headers).status_code == 403
        mine = {"Cookie": f"rapport_session={cookie}"}
        assert client.post("/logout", headers={**headers, **mine}).status_code == 403
    assert gets_in(served, cookie)


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
