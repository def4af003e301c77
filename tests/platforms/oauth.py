"""A vendor's OAuth on this machine, as each of them does it: codes, PKCE, permissions, accounts, tokens that end.

Shapes: see the sources in `services/api/connecting/vendors/`.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer
from tests.platforms.graph import GraphServer
from tests.platforms.linkedin import LinkedInServer
from tests.platforms.subscribed_apps import OF_INSTAGRAM
from tests.platforms.x import XServer

CLIENT, SECRET = "app-1", "app-secret-1"
MEMBER = "urn:li:person:somebody"
AUTHORIZE = {
    "facebook": "/v25.0/dialog/oauth",
    "instagram-facebook": "/v25.0/dialog/oauth",
    "instagram": "/oauth/authorize",
    "threads": "/oauth/authorize",
    "mastodon": "/oauth/authorize",
    "youtube": "/o/oauth2/v2/auth",
    "linkedin": "/oauth/v2/authorization",
    "tiktok": "/v2/auth/authorize",
    "x": "/i/oauth2/authorize",
}
TOKEN = {
    "facebook": "/v25.0/oauth/access_token",
    "instagram-facebook": "/v25.0/oauth/access_token",
    "instagram": "/oauth/access_token",
    "threads": "/oauth/access_token",
    "mastodon": "/oauth/token",
    "youtube": "/token",
    "linkedin": "/oauth/v2/accessToken",
    "tiktok": "/open_api/v1.3/tt_user/oauth2/token/",
    "x": "/2/oauth2/token",
}
PKCE = ("youtube", "x", "mastodon")
ROTATES = ("x", "tiktok")
BASIC = ("x",)
SEPARATOR = {"youtube": " ", "linkedin": " ", "x": " ", "mastodon": " "}


@dataclass
class Consent:
    """What one consent led to."""

    scopes: list[str]
    tokens: list[str] = field(default_factory=list)
    refresh_tokens: list[str] = field(default_factory=list)
    revoked: bool = False


@dataclass
class _Code:
    redirect: str
    challenge: str | None
    consent: Consent
    at: float


class OAuthServer(LocalServer):
    """One vendor, from `with` to its end. Its methods and fields may be used from any thread."""

    def __init__(self, vendor: str, redirect: str) -> None:
        """`redirect` is the only address that its application allows."""
        self.vendor = vendor
        self.redirects = {redirect}
        self.clients = {CLIENT: SECRET}
        self.refused: set[str] = set()
        """Scopes that the owner switches off."""
        self.denies = False
        self.lasts: float | None = {"facebook": None, "mastodon": None}.get(vendor, 3_600.0)
        """Seconds of a token."""
        self.code_lasts = 600.0
        self.accounts: list[dict[str, Any]] = []
        """What can be chosen, in the vendor's shape."""
        self.asked: list[str] = []
        """Method, path and query of each request."""
        self.posted: list[dict[str, str]] = []
        self.failures: list[tuple[int, Any]] = []
        """The next token requests are answered with these."""
        self.hangs = False
        """Token requests are answered when their client has gone long since."""
        self.loses = 0
        """So many next renewals are done, and their answers lost."""
        self.meanwhile: Callable[[], object] | None = None
        """What happens elsewhere while the next token request is under way."""
        self.bulk = 0
        """Bytes that answers about accounts have in addition."""
        self.interface: GraphServer | LinkedInServer | XServer | None = None
        """Keeps what the vendor is told of accounts that are connected."""
        self.interface_hangs = False
        self.member = MEMBER
        """Who logs in at LinkedIn."""
        self.consents: list[Consent] = []
        self._codes: dict[str, _Code] = {}
        routes = [Route("/{path:path}", self._any, methods=["GET", "POST", "PUT", "DELETE"])]
        super().__init__(Starlette(routes=routes))

    @property
    def live(self) -> list[str]:
        """Tokens that are valid: the newest of each consent."""
        return [each.tokens[-1] for each in self.consents if each.tokens and not each.revoked]

    def renewals(self) -> int:
        """How many tokens were given in place of another."""
        return sum(len(each.tokens) - 1 for each in self.consents)

    async def _any(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append(f"{request.method} {path}?{request.url.query}")
        if path == AUTHORIZE[self.vendor]:
            return self._authorize(request)
        if path == "/api/v1/apps" and self.vendor == "mastodon":
            return await self._register(request)
        if path in (
            TOKEN[self.vendor],
            "/access_token",
            "/refresh_access_token",
            "/open_api/v1.3/tt_user/oauth2/refresh_token/",
        ):
            return await self._token(request)
        if path.endswith("/subscribed_apps") or path.startswith(("/rest/eventSubscriptions", "/2/webhooks", "/2/act")):
            while self.interface_hangs:  # noqa: ASYNC110 - tests set it from a thread of their own
                await anyio.sleep(0.05)
            return self._told(request, await request.body())
        return self._resource(request)

    def _told(self, request: Request, body: bytes) -> Response:
        """What the vendor's interface answers to the tokens that were given here."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        query = dict(request.query_params)
        raw = request.scope["raw_path"].decode()
        scopes = self.consents[-1].scopes
        match self.interface:
            case GraphServer():
                for its in self.interface.owners:
                    its.granted = scopes
                    if self.vendor == "instagram":
                        its.token, its.fields = self.live[-1], OF_INSTAGRAM
                return self.interface.handle(request.method, raw.partition("/")[2].partition("/")[2], query, token)
            case LinkedInServer():
                self.interface.tokens = set(self.live)
                assert request.headers["linkedin-version"]
                assert request.headers["x-restli-protocol-version"] == "2.0.0"
                path = raw.removeprefix("/rest/")
                return self.interface.handle(request.method, path, request.url.query, token, body)
            case XServer():
                self.interface.tokens = dict.fromkeys(self.live, str(self.accounts[0]["id"]))
                self.interface.granted = scopes
                return self.interface.handle(request.method, raw.removeprefix("/2/"), query, token, body)
        raise AssertionError(f"{self.vendor} is told nothing of accounts")

    def _authorize(self, request: Request) -> Response:
        query = request.query_params
        client = query.get("client_key" if self.vendor == "tiktok" else "client_id", "")
        redirect = query.get("redirect_uri", "")
        # A vendor sends nobody to an address that it does not know.
        if client not in self.clients or redirect not in self.redirects or query.get("response_type") != "code":
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        if self.denies:
            back = {"error": "access_denied", "error_description": "The user said no", "state": query["state"]}
            return RedirectResponse(f"{redirect}?{urlencode(back)}", 302)
        scopes = query.get("scope", "").split(SEPARATOR.get(self.vendor, ","))
        consent = Consent([each for each in scopes if each not in self.refused])
        code = secrets.token_urlsafe(12)
        self._codes[code] = _Code(redirect, query.get("code_challenge"), consent, time.monotonic())
        back = {"code": code, "state": query["state"]}
        return RedirectResponse(f"{redirect}?{urlencode(back)}", 302)

    async def _register(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        client, secret = secrets.token_urlsafe(8), secrets.token_urlsafe(16)
        self.clients[client] = secret
        self.redirects.add(form["redirect_uris"])
        return JSONResponse({"id": "1", "name": form["client_name"], "client_id": client, "client_secret": secret})

    async def _token(self, request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("application/json"):
            form = {name: str(value) for name, value in (await request.json()).items()}
        else:
            form = {name: str(value) for name, value in (await request.form()).items()}
        given = {**dict(request.query_params), **form}
        self.posted.append(given)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await anyio.to_thread.run_sync(happens)
        if self.hangs:
            await anyio.sleep(60)
        if self.failures:
            status, body = self.failures.pop(0)
            return body if isinstance(body, Response) else JSONResponse(body, status_code=status)
        kind = given.get("grant_type", "")
        if kind not in ("ig_refresh_token", "th_refresh_token") and not self._is_client(request, given):
            return self._no("invalid_client", 401)
        if kind == "authorization_code":
            return self._for_code(given)
        if kind in ("fb_exchange_token", "ig_exchange_token", "th_exchange_token"):
            return self._next(given.get("fb_exchange_token") or given.get("access_token", ""), long=True)
        if kind in ("ig_refresh_token", "th_refresh_token"):
            return self._next(given.get("access_token", ""), long=True)
        if kind == "refresh_token":
            return self._refreshed(given.get("refresh_token", ""))
        return self._no("unsupported_grant_type")

    def _is_client(self, request: Request, given: dict[str, str]) -> bool:
        client, secret = given.get("client_id", ""), given.get("client_secret", "")
        if self.vendor in BASIC:
            scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
            if scheme != "Basic" or secret:
                return False
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        if given.get("grant_type") in ("ig_exchange_token", "th_exchange_token"):
            return secret in self.clients.values()
        return self.clients.get(client) == secret != ""

    def _for_code(self, given: dict[str, str]) -> Response:
        found = self._codes.pop(given.get("auth_code") or given.get("code", ""), None)
        if found is None or time.monotonic() - found.at > self.code_lasts:
            return self._no("invalid_grant")
        if given.get("redirect_uri") != found.redirect:
            return self._no("redirect_uri_mismatch")
        if self.vendor in PKCE:
            proof = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(proof).decode().rstrip("=") != found.challenge:
                return self._no("invalid_grant")
        self.consents.append(found.consent)
        return self._given(found.consent)

    def _next(self, token: str, *, long: bool) -> Response:
        for each in self.consents:
            if token in each.tokens and not each.revoked:
                return self._given(each, long=long)
        return self._no("190")

    def _refreshed(self, refresh_token: str) -> Response:
        for each in self.consents:
            if refresh_token in each.refresh_tokens and not each.revoked:
                if self.vendor in ROTATES and refresh_token != each.refresh_tokens[-1]:
                    each.revoked = True  # somebody else may have it: all of the consent ends
                    return self._no("invalid_grant")
                answer = self._given(each)
                if self.loses:
                    self.loses -= 1
                    return JSONResponse({"error": "server_error"}, status_code=502)
                return answer
        return self._no("invalid_grant")

    def _given(self, consent: Consent, *, long: bool = False) -> Response:
        consent.tokens.append(f"token-{secrets.token_hex(8)}")
        found: dict[str, Any] = {"access_token": consent.tokens[-1], "token_type": "bearer"}
        if self.lasts is not None:
            found["expires_in"] = int(self.lasts)
        refreshes = self.vendor in ("youtube", "linkedin", "tiktok", "x")
        if self.vendor == "x" and "offline.access" not in consent.scopes:
            refreshes = False
        if refreshes and (self.vendor in ROTATES or not consent.refresh_tokens):
            consent.refresh_tokens.append(f"refresh-{secrets.token_hex(8)}")
        if refreshes:
            found["refresh_token"] = consent.refresh_tokens[-1]
        if self.vendor in ("linkedin", "tiktok"):
            found["refresh_token_expires_in"] = 365 * 86_400
        if self.vendor in ("youtube", "linkedin", "tiktok", "x", "mastodon"):
            found["scope"] = SEPARATOR.get(self.vendor, ",").join(consent.scopes)
        if self.vendor == "instagram" and not long:
            found = {"data": [{**found, "user_id": 17841, "permissions": ",".join(consent.scopes)}]}
        if self.vendor == "tiktok":
            found = {"code": 0, "message": "OK", "data": {**found, "open_id": self.accounts[0]["open_id"]}}
        return JSONResponse(found)

    def _no(self, error: str, status: int = 400) -> Response:
        if self.vendor in ("facebook", "instagram-facebook", "threads"):
            said = {"message": f"Refused: {error}", "type": "OAuthException", "code": 190 if error == "190" else 100}
            return JSONResponse({"error": said}, status_code=status)
        if self.vendor == "tiktok":
            return JSONResponse({"code": 40_105, "message": f"Refused: {error}", "data": {}})
        return JSONResponse({"error": error, "error_description": f"Refused: {error}"}, status_code=status)

    def _resource(self, request: Request) -> Response:
        path = request.url.path
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = request.headers.get("access-token", token)
        if path.endswith("/debug_token") and self.vendor != "threads":
            if token != f"{CLIENT}|{SECRET}":
                return self._no("190", 401)
            return JSONResponse({"data": {"data_access_expires_at": int(time.time()) + 90 * 86_400, "expires_at": 0}})
        consent = next((each for each in self.consents if token in each.tokens and not each.revoked), None)
        if consent is None:
            return self._no("190", 401)
        more = {"more": "x" * self.bulk} if self.bulk else {}
        if path.endswith("/me/permissions"):
            data = [{"permission": each, "status": "granted"} for each in consent.scopes]
            data += [{"permission": each, "status": "declined"} for each in sorted(self.refused)]
            return JSONResponse({"data": data})
        if path.endswith("/debug_token"):
            return JSONResponse({"data": {"scopes": consent.scopes}})
        if path.endswith("/me/accounts"):
            return JSONResponse({**self._page(request), **more})
        if path.endswith("/channels"):
            return JSONResponse({"items": self.accounts, **more})
        if path.endswith("/organizationAcls"):
            roles = [{"organization": each["urn"], "roleAssignee": self.member} for each in self.accounts]
            return JSONResponse({"elements": roles, **more})
        if "/rest/organizations/" in path:
            return JSONResponse(next(each for each in self.accounts if each["urn"].endswith(path.rpartition("/")[2])))
        if path.endswith("/business/get/"):
            return JSONResponse({"code": 0, "message": "OK", "data": self.accounts[0], **more})
        if path.endswith("/users/me"):
            return JSONResponse({"data": self.accounts[0], **more})
        return JSONResponse({**self.accounts[0], **more})

    def _page(self, request: Request) -> dict[str, Any]:
        start = int(request.query_params.get("after", "0"))
        end = start + 2
        paging = {"cursors": {"after": str(end)}, **({"next": "https://…"} if end < len(self.accounts) else {})}
        return {"data": self.accounts[start:end], "paging": paging}
