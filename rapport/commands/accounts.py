"""`rapport accounts`: a client's accounts on the platforms."""

import getpass
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from rapport.commands import client
from rapport.commands.options import Json, fail, print_json, print_table, say
from rapport.domain.charges import CHARGING, MOST_FOLLOWERS, money
from rapport.domain.figures import listed
from rapport.domain.platforms import platform_name

MOST_TOKEN = 2_048
"""Characters."""
LOOK_SECONDS = 2.0
STEPS = {
    "begun": "waiting for somebody to open it",
    "left": "somebody is at {login}",
    "returned": "asking {login} what was granted",
    "granted": "waiting for somebody to choose the account",
}
FAILED_AT = {
    "consent": "the consent",
    "token": "the token",
    "permissions": "the permissions",
    "accounts": "the list of accounts",
    "account": "the account",
}

app = typer.Typer(no_args_is_help=True, help="A client's accounts on the platforms.")

Connection = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="What the platform's connector needs; repeatable.")
]
AskToken = Annotated[
    bool, typer.Option("--ask-token", help="Ask for the platform's access token, so that it is in no shell's history.")
]
Followers = Annotated[
    int | None,
    typer.Option(min=0, max=MOST_FOLLOWERS, help="Of an X account: its followers, to see what it may cost."),
]
Mentions = Annotated[
    int | None, typer.Option(min=0, max=MOST_FOLLOWERS, help="Of an X account: replies and mentions in a month.")
]
Staff = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Somebody of the staff, by their id on the platform; repeatable.")
]
STATES = {
    "silent": "nothing is read at the moment: no ingest process runs",
    "attention": "needs attention",
    "incident": "the platform has a problem",
    "disconnected": "not connected",
    "behind": "behind",
    "quiet": "quiet",
}
QUIET = (
    "Nothing is known to be wrong. Write a test comment and look for it in the portal. If it does not come, look at "
    "the subscription, the token and the settings at the platform: docs/runbooks/RapportAccountQuiet.md."
)
CONNECT_AGAIN = (
    "Connect it again: open the client's Accounts in the portal and press “Connect again”, or run "
    "`rapport accounts add {brand} {account} --platform {platform} --connect`."
)
ADVICE = {
    ("mastodon", "attention"): (
        "On the account's server open Preferences, Development, and look at the application: it needs the scopes "
        "profile, read:notifications and read:statuses. Make a new access token there if in doubt, and enter it with "
        "`rapport accounts change CLIENT ID --connection service=https://SERVER --ask-token`."
    ),
    ("youtube", "attention"): (
        "Compare the channel's id with the one in YouTube Studio (Settings, Channel, Advanced settings). If it is "
        "right, look at RAPPORT_YOUTUBE_KEY in Google's console: the YouTube Data API v3 has to be switched on, and "
        "the key allowed for it and for the addresses of your servers."
    ),
    ("youtube", "behind"): (
        "If the limit is reached, ask Google for a higher quota and say so in RAPPORT_YOUTUBE_UNITS; it starts again "
        "at midnight in California."
    ),
}
"""What to do, by platform and state."""

Brand = Annotated[str, typer.Argument(help="The client's id.")]


@app.command()
def add(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="Unique in the installation.")],
    platform: Annotated[str, typer.Option(help="Such as bluesky, or a name of your choice for the generic door.")],
    handle: Annotated[str | None, typer.Option(help="As people write it. Needed without --connect.")] = None,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect", help="Let the account's owner log in at the platform and agree: print where, and wait."
        ),
    ] = False,
    connected_at: Annotated[
        str | None, typer.Option(help="RFC 3339; older comments alert nobody. Default: now.")
    ] = None,
    connection: Connection = None,
    ask_token: AskToken = False,
    staff: Staff = None,
    followers: Followers = None,
    mentions: Mentions = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Connect an account, and print the secret that signs its interactions. It is shown only once.

    With --connect, the account's owner agrees in a browser. An account that is there gets a new token.

    X charges for each event. What that may come to is printed first; `rapport accounts cost` asks without connecting.
    """
    if platform in CHARGING:
        say("\n".join(_expected(data, brand, followers, mentions)), err=True)
    if connect:
        if connected_at is not None or staff or ask_token:
            raise typer.BadParameter("--connect takes --connection alone; change the account afterwards")
        _connect(data, brand, account, platform, _connection(connection, ask=False).get("connection", {}), as_json)
        return
    if handle is None:
        raise typer.BadParameter("name the account's --handle, or let its owner log in with --connect")
    body: dict[str, Any] = {"id": account, "platform": platform, "handle": handle}
    if connected_at is not None:
        body["connected_at"] = connected_at
    body |= _connection(connection, ask_token)
    if staff:
        body["staff"] = staff
    made = client.call(data, "POST", client.path("brands", brand, "accounts"), body)
    if as_json:
        print_json(made)
    else:
        say(f"connected {made['id']}; its secret for the generic door is {made['door_secret']}")


@app.command()
def change(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    handle: Annotated[str | None, typer.Option(help="As people write it.")] = None,
    connection: Connection = None,
    ask_token: AskToken = False,
    staff: Staff = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Change an account. A connection, or staff, replaces all that was there before; what is not named stays."""
    body: dict[str, Any] = _connection(connection, ask_token)
    if handle is not None:
        body["handle"] = handle
    if staff:
        body["staff"] = staff
    if not body:
        raise typer.BadParameter("name what is to change: --handle, --connection, --ask-token or --staff")
    changed = client.call(data, "PATCH", client.path("brands", brand, "accounts", account), body)
    if as_json:
        print_json(changed)
    else:
        say(f"changed {changed['id']}")


@app.command()
def cost(
    brand: Brand,
    followers: Followers = None,
    mentions: Mentions = None,
    month: Annotated[str | None, typer.Option(help="Such as 2026-11. Default: the current one.")] = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Say what X charged for a client's accounts in a month, and what another account there may cost."""
    asked: dict[str, Any] = {} if month is None else {"month": month}
    charged = client.call(data, "GET", client.path("brands", brand, "charges"), **asked)
    if as_json:
        print_json({"charged": charged, "expected": _ask_expected(data, brand, followers, mentions)})
        return
    say(f"charged in {charged['month']}: {_dollars(charged['dollars'])}")
    for each in charged["accounts"]:
        say(f"  {each['account']}: {_dollars(each['dollars'])}")
        for event in each["events"]:
            price = "no price known" if event["price"] is None else _dollars(event["dollars"])
            say(f"    {event['count']:,} x {event['event']}: {price}")
    say(f"not counted: {'; '.join(charged['not_counted'])}")
    say("\n".join(_expected(data, brand, followers, mentions)))


@app.command()
def check(
    brand: Brand,
    account: Annotated[str | None, typer.Argument(metavar="ID", help="One account. Default: all.")] = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Say how accounts are read and what to do where one is not. Ends with 1 unless all are live."""
    if account is None:
        found = client.items(data, client.path("brands", brand, "accounts"))
    else:
        found = [client.call(data, "GET", client.path("brands", brand, "accounts", account))]
    if as_json:
        print_json(found)
    else:
        for each in found:
            say("\n".join(_told(brand, each)))
    if not found or not all(_is_well(each) for each in found):
        raise typer.Exit(1)


@app.command()
def disconnect(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Disconnect an account: it is no longer read, and its open exchanges are cancelled."""
    ended = client.call(data, "DELETE", client.path("brands", brand, "accounts", account))
    if as_json:
        print_json(ended)
    else:
        say(f"disconnected {ended['id']} at {ended['disconnected_at']}")


@app.command("rotate-secret")
def rotate_secret(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    overlap: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="How long the old secret stays valid; at most a week.")
    ] = 86_400,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Create a new secret for an account, and print it. It is shown only once. The old one stays valid for a while."""
    where = client.path("brands", brand, "accounts", account, "rotate-secret")
    made = client.call(data, "POST", where, {"overlap_seconds": overlap})
    if as_json:
        print_json(made)
    else:
        say(f"the new secret of {made['id']} is {made['door_secret']}")
        say(f"the old one is valid until {made['old_secret_until']}")


@app.command("list")
def list_(brand: Brand, data: client.Place = None, as_json: Json = False) -> None:
    """List a client's accounts."""
    found = client.items(data, client.path("brands", brand, "accounts"))
    if as_json:
        print_json(found)
    else:
        for each in found:
            each["state"] = (each.get("standing") or {}).get("state")
        columns = {
            "id": "id", "platform": "platform", "handle": "handle", "connected_at": "connected at", "state": "state",
            "expires_at": "connected until",
        }  # fmt: skip
        print_table(columns, found)


def _ask_expected(data: Path | None, brand: str, followers: int | None, mentions: int | None) -> Any:
    known = {"followers": followers, "mentions": mentions}
    asked: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    return client.call(data, "GET", client.path("brands", brand, "charges", "expected"), **asked)


def _expected(data: Path | None, brand: str, followers: int | None, mentions: int | None) -> list[str]:
    """What an account on X may cost in a month, in words."""
    found = _ask_expected(data, brand, followers, mentions)
    prices = f"prices of {found['prices_read_on']}: {found['prices_source']}"
    if found["low"] is None:
        return [f"X charges for each event; name --followers or --mentions to see what that may come to ({prices})"]
    lines = [f"expected on X: {_dollars(found['low'])} to {_dollars(found['high'])} a month ({prices})"]
    for part in found["parts"]:
        range_ = f"{part['fewest']:,} to {part['most']:,}, {_dollars(part['low'])} to {_dollars(part['high'])}"
        lines.append(f"  {part['name']}: {range_}")
    return [*lines, f"  it assumes: {'; '.join(found['assumes'])}"]


def _dollars(amount: float) -> str:
    return money(Decimal(str(amount)))


def _asked(secret: str) -> str:
    """A token or a password that somebody types, unseen; from standard input where that is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass({"token": "Access token: ", "password": "App password: "}[secret]).strip()
    return sys.stdin.readline(MOST_TOKEN).strip()


def _connection(pairs: list[str] | None, ask: bool) -> dict[str, Any]:
    """The field `connection` of a request; nothing where nothing of it was given."""
    parts = [pair.partition("=") for pair in pairs or ()]
    if wrong := [name for name, equals, _ in parts if not equals]:
        raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", param_hint="--connection")
    found = {name: value for name, _, value in parts}
    if ask:
        # Bluesky has no tokens that somebody could copy, but app passwords.
        secret = "password" if "did" in found else "token"
        found[secret] = _asked(secret)
    return {"connection": found} if found else {}


def _connect(
    data: Path | None, brand: str, account: str, platform: str, connection: dict[str, str], as_json: bool
) -> None:
    """Begins to connect an account, and waits until that is done. Ends the command where it fails."""
    vendor = f"{platform}-facebook" if connection.get("login") == "facebook" else platform
    if unknown := sorted(connection.keys() - {"service", "login"}):
        raise typer.BadParameter(f"--connect asks the platform for {unknown[0]!r}", param_hint="--connection")
    there = client.find(data, client.path("brands", brand, "accounts", account)) is not None
    body = {"vendor": vendor, ("account" if there else "id"): account}
    if "service" in connection:
        body["service"] = connection["service"]
    attempt = client.call(data, "POST", client.path("brands", brand, "connections"), body)
    say(f"open in a browser, with a key that may administer {brand}:\n  {attempt['address']}", err=as_json)
    where, said = client.path("brands", brand, "connections", attempt["id"]), ""
    while attempt["step"] not in ("connected", "failed"):
        if attempt["step"] != said:
            said = attempt["step"]
            say(STEPS[said].format(login=platform_name(platform)), err=True)
        time.sleep(LOOK_SECONDS)
        found = client.find(data, where)
        if found is None:
            fail("nobody completed it within an hour; run the command again")
        attempt = found
    if as_json:
        print_json(attempt)
    if attempt["step"] == "failed":
        fail(f"not connected; what failed is {FAILED_AT.get(attempt['failed_at'], 'a step')}: {attempt['why']}")
    if not as_json:
        done = "has a new token" if attempt["replaced"] else "is connected"
        say(f"{attempt['account']} {done}")
        if push := attempt.get("push"):
            say("\n".join(_pushed(platform, push)))
        for each in attempt["permissions"]:
            if not each["granted"]:
                say(f"  not allowed to {each['purpose']} ({each['scope']}). {each['remedy']}")


def _pushed(platform: str, push: dict[str, Any]) -> list[str]:
    """What a platform sends of an account from now on, and what not, in words."""
    name, what = platform_name(platform), push["what"]
    lines = [f"  {name} sends {listed(what, most=len(what))} from now on"] if what else []
    if push["why"]:
        part = "all of " if what else ""
        lines.append(f"  {name} does not send {part}what happens on it: {push['why']}. {push['remedy']}")
    return lines


def _is_well(account: dict[str, Any]) -> bool:
    """Whether nothing about an account has to be done. That it is quiet is a question, and no trouble yet."""
    return account["standing"]["state"] in ("live", "quiet") and not _is_over(account) and not any(
        each["needed"] for each in account["missing"]
    )  # fmt: skip


def _is_over(account: dict[str, Any]) -> bool:
    return account["expires_at"] is not None and datetime.fromisoformat(account["expires_at"]) <= datetime.now(UTC)


def _told(brand: str, account: dict[str, Any]) -> list[str]:
    """How an account is read, until when, and what its owner did not allow, in words."""
    standing = account["standing"]
    name = f"{account['id']} ({account['handle']} on {platform_name(account['platform'])})"
    lines = [f"{name}: {_state(standing)}"]
    again = CONNECT_AGAIN.format(brand=brand, account=account["id"], platform=account["platform"])
    advice = QUIET if standing["state"] == "quiet" else ADVICE.get((account["platform"], standing["state"]))
    if standing["state"] == "attention" and (account["expires_at"] or advice is None):
        advice = again
    if advice and standing["state"] != "live":
        lines.append(f"  {advice}")
    if account["expires_at"]:
        over = _is_over(account)
        lines.append(f"  its connection {'ended' if over else 'ends'} at {account['expires_at']}")
        if over and again not in lines[-2]:
            lines.append(f"  {again}")
    for each in account["missing"]:
        lines.append(f"  not allowed to {each['purpose']} ({each['scope']}). {each['remedy']}")
    return lines


def _state(standing: dict[str, Any]) -> str:
    if standing["state"] == "live":
        return "live" + (f"; read up to {standing['checked_at']}" if standing["checked_at"] else "")
    since = f" since {standing['since']}" if standing["since"] else ""
    why = f": {standing['why']}" if standing["why"] else ""
    return f"{STATES[standing['state']]}{since}{why}"
