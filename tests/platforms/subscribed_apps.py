"""Which fields of a page, or of an Instagram account, an application is subscribed to, as Meta keeps that.

A request replaces all fields, and is refused as a whole for one that does not exist or is not allowed.

Source: https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps and
https://developers.facebook.com/documentation/instagram-platform/webhooks
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

OF_PAGES: Mapping[str, str] = {
    **dict.fromkeys(("feed", "mention", "name", "picture", "leadgen"), "pages_manage_metadata"),
    **dict.fromkeys(("messages", "message_echoes", "messaging_postbacks", "message_reads"), "pages_messaging"),
}
"""The fields of a page, and the permission that each needs."""
OF_INSTAGRAM: Mapping[str, str] = {
    **dict.fromkeys(("comments", "live_comments", "mentions"), "instagram_business_manage_comments"),
    **dict.fromkeys(("messages", "messaging_postbacks", "message_reactions"), "instagram_business_manage_messages"),
}
"""The same of an Instagram account that logs in with Instagram."""
OTHER: dict[str, Any] = {
    "id": "424242",
    "name": "Another program",
    "subscribed_fields": ["feed", "messages", "leadgen"],
}
"""Another application that is subscribed as well."""


AT_ONCE = 25


class Changed(NamedTuple):
    """An answer, and the fields after it; None where the application is not subscribed."""

    status: int
    body: Any
    fields: list[str] | None


def asked(
    method: str, fields: list[str] | None, query: Mapping[str, str], app: str, known: Mapping[str, str],
    granted: Collection[str] | None, others: Sequence[Mapping[str, Any]] = (OTHER,),
) -> Changed:  # fmt: skip
    """What an application is answered. `granted`: what its token may do; None for everything. `others` come first."""
    if method == "GET":
        its = [{"id": app, "name": "Rapport", "subscribed_fields": fields}] if fields is not None else []
        every, start = [*others, *its], int(query.get("after") or 0)
        end = start + AT_ONCE
        paging = {"cursors": {"after": str(end)}, **({"next": "https://…"} if end < len(every) else {})}
        return Changed(200, {"data": every[start:end], "paging": paging}, fields)
    if method == "DELETE":
        return Changed(200, {"success": True}, None)
    wanted = [each for each in query.get("subscribed_fields", "").split(",") if each]
    if not wanted:
        return _refused(100, "(#100) The parameter subscribed_fields is required.", fields)
    for place, each in enumerate(wanted):
        if each not in known:
            names = ", ".join(known)
            return _refused(
                100, f'(#100) Param subscribed_fields[{place}] must be one of {{{names}}} - got "{each}"', fields
            )
    lacking = [each for each in wanted if granted is not None and known[each] not in granted]
    if lacking:
        said = "\n".join(
            f"To subscribe to the {e} field, one of these permissions is needed: {known[e]}." for e in lacking
        )
        return _refused(200, f"(#200) {said}", fields, 403)
    return Changed(200, {"success": True}, wanted)


def _refused(code: int, message: str, fields: list[str] | None, status: int = 400) -> Changed:
    return Changed(status, {"error": {"message": message, "type": "OAuthException", "code": code}}, fields)
