"""An API, somebody at the portal, and a vendor on this machine that they go to and come back from."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from pymongo.database import Database

from rapport.contracts.sealed import connection_place
from rapport.kit.mongo import Document
from rapport.kit.sealing import Sealer, new_key
from rapport.local.servers.stack import Running
from services.api.connecting.vendors.table import VENDORS
from services.api.settings import ApiSettings
from tests.platforms.graph import GraphServer
from tests.platforms.linkedin import LinkedInServer
from tests.platforms.oauth import CLIENT, MEMBER, SECRET, OAuthServer
from tests.platforms.x import XServer
from tests.services.api.conftest import ADMIN_KEY, Served, own_brand, serve, settings_for
from tests.services.api.web.portal_session import logged_in

PORTAL = "https://portal.example"
"""What vendors are told, whatever the address of the test's own API."""
PAGE = {"id": "4001", "name": "Hillside Roastery", "access_token": "page-token-1", "tasks": ["MANAGE", "MODERATE"]}
OTHER_PAGE = {"id": "4002", "name": "Hillside Bakery", "access_token": "page-token-2", "tasks": ["ANALYZE"]}
ACCOUNTS: dict[str, list[dict[str, Any]]] = {
    "facebook": [PAGE, OTHER_PAGE],
    "instagram-facebook": [
        {**PAGE, "instagram_business_account": {"id": "17841", "username": "hillside", "name": "Hillside"}},
        OTHER_PAGE,
    ],
    "instagram": [{"user_id": "17841", "username": "hillside", "name": "Hillside"}],
    "threads": [{"id": "9001", "username": "hillside", "name": "Hillside"}],
    "youtube": [{"id": "UChillside", "snippet": {"title": "Hillside", "customUrl": "@hillside"}}],
    "linkedin": [{"urn": "urn:li:organization:77", "localizedName": "Hillside", "vanityName": "hillside"}],
    "tiktok": [{"open_id": "open-1", "username": "hillside", "display_name": "Hillside"}],
    "x": [{"id": "42", "username": "hillside", "name": "Hillside"}],
    "mastodon": [{"id": "109", "acct": "hillside", "display_name": "Hillside"}],
}
"""What each vendor has to choose from."""


@contextmanager
def vendor(name: str) -> Iterator[OAuthServer]:
    """A vendor with its usual accounts, and the interface that is told of those that are connected."""
    with ExitStack() as stack:
        server = stack.enter_context(OAuthServer(name, f"{PORTAL}/connect/{name}"))
        server.accounts = list(ACCOUNTS[name])
        match name:
            case "facebook" | "instagram-facebook" | "instagram":
                graph = stack.enter_context(GraphServer())
                graph.APP = CLIENT
                for each in server.accounts:
                    its = graph.owner(each.get("id") or each["user_id"])
                    its.token, its.subscribed = each.get("access_token", ""), None
                server.interface = graph
            case "linkedin":
                server.interface = stack.enter_context(LinkedInServer())
                server.interface.administrators = {MEMBER}
            case "x":
                server.interface = stack.enter_context(XServer())
        yield server


def page_fields(server: OAuthServer, page: str) -> list[str] | None:
    """What the application is subscribed to of a page or an Instagram account; None where it is not."""
    assert isinstance(server.interface, GraphServer)
    return next(each.subscribed for each in server.interface.owners if each.id == page)


def settings_with(stack: Running, database: str, server: OAuthServer, **more: Any) -> ApiSettings:
    """Settings of an API whose application is registered at this vendor."""
    app = VENDORS[server.vendor].app
    its = {f"{app}_client_id": CLIENT, f"{app}_client_secret": SecretStr(SECRET), f"{app}_api": server.address}
    update = {"portal": PORTAL, "allow_private": True, **(its if app else {}), **more}
    return settings_for(stack.kafka, stack.mongodb, database).model_copy(update=update)


@dataclass
class World:
    """What the tests act on."""

    api: Served
    server: OAuthServer
    brand: str
    visitor: httpx.Client
    views: Database[Document]

    def begin(self, **form: str) -> str:
        """The path of the page on which a new attempt goes on."""
        fields = {"vendor": self.server.vendor, **form}
        if self.server.vendor == "mastodon":
            fields.setdefault("service", self.server.address)
        answer = self.visitor.post(f"/brands/{self.brand}/connect", data=fields)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def consented(self, path: str, visitor: httpx.Client | None = None) -> str:
        """Goes to the vendor from an attempt's page, and gives the path that the vendor sends people back to."""
        left = (visitor or self.visitor).get(f"{path}/leave")
        assert left.status_code == 303, left.text
        back = httpx.get(left.headers["location"])
        assert back.status_code == 302, back.text
        parts = urlsplit(back.headers["location"])
        assert f"{parts.scheme}://{parts.netloc}" == PORTAL
        return f"{parts.path}?{parts.query}"

    def granted(self, **form: str) -> str:
        """The path of an attempt whose owner has consented."""
        path = self.begin(**form)
        back = self.visitor.get(self.consented(path))
        assert (back.status_code, back.headers.get("location")) == (303, path), back.text
        return path

    def connected(self, choice: str, account: str = "", **form: str) -> str:
        """Connects an account, and gives its id."""
        path = self.granted(**form)
        answer = self.choose(path, choice, account)
        assert answer.status_code == 303, answer.text
        found = self.views["connection_attempts"].find_one({"_id": path.rpartition("/")[2]})
        assert found is not None
        return str(found["connected"])

    def choose(self, path: str, choice: str, account: str = "", **more: str) -> httpx.Response:
        """Sends the form that chooses an account."""
        return self.visitor.post(f"{path}/choose", data={"choice": choice, "account": account, **more})

    def connection(self, account: str, sealer: Sealer | None = None) -> dict[str, str]:
        """The connection of an account as stored, with its secrets open."""
        found = self.views["accounts"].find_one({"_id": account})
        assert found is not None
        pending: dict[str, Any] = found.get("pending") or {}
        its: dict[str, str] = dict(pending.get("connection") or found["connection"])
        for name in ("token", "refresh_token"):
            if sealer is not None and name in its:
                its[name] = sealer.open(connection_place(account, name), its[name])
        return its


@contextmanager
def world(stack: Running, views: Database[Document], server: OAuthServer, **more: Any) -> Iterator[World]:
    """An API, a brand of its own, and an administrator at the portal."""
    for api in serve(settings_with(stack, views.name, server, **more), ready=True):
        brand = own_brand()
        api.brand(brand)
        with logged_in(api, ADMIN_KEY) as visitor:
            visitor.headers["Accept"] = "text/html"
            yield World(api, server, brand, visitor, views)


def sealer(folder: Any) -> tuple[Sealer, Any]:
    """A sealer, and the file with its key."""
    file = folder / "keys"
    file.write_text(new_key("test"))
    return Sealer.of(file), file


def stored_attempt(brand: str) -> dict[str, Any]:
    """An attempt `attempt-1` of a brand, in which a Facebook Page has to be chosen, as it is stored."""
    choice = {"id": "1", "name": "Page", "handle": "page", "lacks": "", "connection": {"page": "1"}}
    return {
        "_id": "attempt-1",
        "brand": brand,
        "vendor": "facebook",
        "service": "",
        "account": None,
        "wanted": None,
        "step": "granted",
        "failed_at": None,
        "why": None,
        "scopes": [each.scope for each in VENDORS["facebook"].permissions],
        "choices": [choice],
        "connected": None,
        "replaced": False,
        "until": datetime.now(UTC) + timedelta(hours=1),
    }
