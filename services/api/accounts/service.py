"""What other features ask about accounts."""

from services.api.accounts.documents import AccountDocument

_ASKED = {"mastodon": "token", "youtube": "channel"}
"""The field without which an account of a platform that is asked for news is not."""


_WRITES = {"bluesky": "password"}
"""The field that lets an account of a platform be written to, where it is not `token`."""


def may_write(account: AccountDocument) -> bool:
    """Whether an account's connection has what is needed to answer with it."""
    return bool(account["connection"].get(_WRITES.get(account["platform"], "token"), "").strip())


def is_asked(account: AccountDocument) -> bool:
    """Whether ingest asks the platform for news of an account, and says how it stands."""
    return bool(account["connection"].get(_ASKED.get(account["platform"], ""), "").strip())
