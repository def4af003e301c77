"""`rapport import` without a file: asks Bluesky what happened on an account."""

from datetime import datetime
from typing import TYPE_CHECKING

from rapport.commands.imports.showing import BROKEN_OFF
from rapport.commands.options import fail, say, secret

if TYPE_CHECKING:
    from rapport.contracts.events import Account
    from services.imports.entries import Source

PASSWORD = "RAPPORT_BLUESKY_PASSWORD"  # noqa: S105 - the variable's name


def history(
    brand: str,
    account: "Account",
    others: tuple[str, ...],
    did: str | None,
    since: datetime | None,
    now: datetime,
    *,
    trial: bool,
) -> "Source":
    """What its server tells of the account. `others` are the handles of the client's other accounts there.

    Ends the command if it cannot be read.
    """
    from services.imports.entries import UnreadableFileError
    from services.imports.history import Wanted, open_history
    from services.ingest.connectors.bluesky.settings import BlueskySettings
    from services.verify.progress import steps

    # A trial sends no handles, so it does not ask for them.
    unset = f"set {PASSWORD} to an app password of the account: Settings, Privacy and security, App passwords"
    password = secret(PASSWORD, unset, "An app password of the account")
    wanted = Wanted(brand, account, password, did, others, since, named=not trial)
    with steps() as shown, shown.step("asking Bluesky") as step:

        def show(what: str) -> None:
            step.now(what)
            step.advance(1)

        try:
            return open_history(wanted, BlueskySettings(port=0), now, lambda line: say(line, err=True), show)
        except UnreadableFileError as error:
            fail(f"the history of {account.id!r} cannot be read: {error}")
        except KeyboardInterrupt:
            fail("stopped by Ctrl-C; nothing was imported", BROKEN_OFF)
