"""What other features ask about accounts."""

from services.api.accounts.documents import AccountDocument

_ASKED = {"mastodon": "token", "youtube": "channel"}
"""The field without which an account of a platform that is asked for news is not."""


def is_asked(account: AccountDocument) -> bool:
    """Whether ingest asks the platform for news of an account, and says how it stands."""
    return bool(account["connection"].get(_ASKED.get(account["platform"], ""), "").strip())
