"""Where a list goes on, as a server says it in the header `Link`. Pure.

What a page has may end before the page does, because servers leave out what the account may not see after they have cut
it. Only the header says where it was cut.

Source: https://docs.joinmastodon.org/api/guidelines/#pagination and RFC 8288
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qs

from services.ingest.connectors.mastodon.entities import LONGEST_ID

_LINK = re.compile(r"<([^<>]*)>([^<>]*)")
_RELATION = re.compile(r"\brel\s*=\s*\"?(next|prev)\b", re.IGNORECASE)


class Links(NamedTuple):
    """Ids that a list goes on from; None where it does not."""

    older: str | None = None
    """For `max_id`."""
    newer: str | None = None
    """For `min_id`."""


def links(header: str | None) -> Links | None:
    """What a header says; None where the server sent none. Of an address only the id counts: its host may be any."""
    if not header:
        return None
    found: dict[str, str | None] = {}
    for address, said in _LINK.findall(header):
        if (relation := _RELATION.search(said)) is not None:
            query = parse_qs(address.partition("?")[2].partition("#")[0])
            names = ("max_id",) if relation[1].lower() == "next" else ("min_id", "since_id")
            ids = [query[name][0] for name in names if name in query]
            found[relation[1].lower()] = ids[0] if ids and len(ids[0]) <= LONGEST_ID else None
    return Links(found.get("next"), found.get("prev"))
