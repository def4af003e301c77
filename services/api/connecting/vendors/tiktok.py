"""TikTok business accounts, through TikTok's API for Business.

An access token lasts a day. A refresh gives a new refresh token too, and the one before may be invalid from then on.
The consent ends after a year.

Source: https://business-api.tiktok.com/portal/docs (Accounts API, Authentication) and
https://developers.tiktok.com/docs/en/oauth-refresh-a-user-access-token
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from services.api.connecting.vendors.asking import VendorError, inside, scrubbed, text
from services.api.connecting.vendors.vendor import Choice, Code, Grant, Held, Permission, Vendor, Visit, granted

API = "https://business-api.tiktok.com/open_api/v1.3"
_AGAIN = "Connect again, and leave this one switched on in TikTok's window."


class Tiktok(Vendor):
    """TikTok business accounts."""

    id = "tiktok"
    platform = "tiktok"
    title = "TikTok business account"
    login = "TikTok"
    app = "tiktok"
    authorize_at = "https://www.tiktok.com/v2/auth/authorize"
    token_at = f"{API}/tt_user/oauth2/token/"
    separator = ","
    client_name = "client_key"
    more: ClassVar = {"disable_auto_auth": "1"}
    renewable = True
    rotates = True
    revoked_at = "TikTok, Settings and privacy, Security, Manage app permissions"
    asks: ClassVar = {
        "identifier": (
            "The account's unique_identifier. TikTok's interface does not tell it here: it is in every webhook about a "
            "comment that the account itself wrote. Without it, the account's own answers count as comments."
        )
    }
    permissions = (
        Permission("user.info.basic", "see which account this is", _AGAIN),
        Permission("user.info.username", "see its name", _AGAIN, needed=False),
        Permission("comment.list", "read comments on the account's videos", _AGAIN),
        Permission(
            "video.list", "see the account's videos, and find comments that TikTok did not push", _AGAIN, needed=False
        ),
        Permission("comment.list.manage", "answer and hide comments", _AGAIN, needed=False),
        Permission("message.list.read", "read messages", _AGAIN, needed=False),
    )

    async def exchange(self, visit: Visit, code: Code, /) -> Grant:
        """TikTok takes JSON, and calls the code `auth_code`."""
        more = {"grant_type": "authorization_code", "auth_code": code.code, "redirect_uri": code.redirect}
        return await self._given(visit, self.token_at, more, (code.code,))

    async def renew(self, visit: Visit, held: Held, /) -> Grant:
        """A new token, and a new refresh token."""
        more = {"grant_type": "refresh_token", "refresh_token": held.refresh_token}
        return await self._given(visit, f"{API}/tt_user/oauth2/refresh_token/", more, (held.refresh_token,))

    async def choices(self, visit: Visit, grant: Grant, /) -> list[Choice]:
        """The account that consented."""
        if not grant.account:
            raise VendorError("TikTok does not say which account this is")
        query = {"business_id": grant.account, "fields": '["username","display_name"]'}
        found = await visit.asking.get(self.at(f"{API}/business/get/"), query, headers={"Access-Token": grant.token})
        its = _data(found, (grant.token,))
        handle = text(its, "username") or grant.account
        return [Choice(grant.account, text(its, "display_name") or handle, handle, {"business": grant.account}, grant)]

    async def _given(self, visit: Visit, at: str, more: dict[str, str], secrets: Sequence[str]) -> Grant:
        hidden = [visit.app.secret, *secrets]
        content = {"client_id": visit.app.id, "client_secret": visit.app.secret, **more}
        return granted(_data(await visit.asking.body(self.at(at), content, secrets=hidden), hidden), visit.now)


def _data(found: dict[str, Any], secrets: Sequence[str]) -> dict[str, Any]:
    """What TikTok wraps into `data`. It answers 200 for refusals too, with another code than 0."""
    code = found.get("code")
    if code != 0:
        # 40,100 and 50,000 and their hundreds: too many requests, and troubles of TikTok's own.
        again = isinstance(code, int) and (40_100 <= code < 40_102 or code >= 50_000)
        said = scrubbed(text(found, "message"), secrets)
        known = "invalid_grant" if code in (40_105, 40_110) else text(found, "code")
        raise VendorError(f"TikTok refused ({text(found, 'code')}): {said}", known, again=again, lost=again)
    return inside(found, "data")
