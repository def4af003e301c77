"""The `rapport` command."""

import os
import sys
from typing import Annotated

import typer

from rapport.commands import accounts, brands, keys, processes, secrets, stack
from rapport.commands.demo import demo
from rapport.commands.doctor import doctor
from rapport.commands.erase import erase
from rapport.commands.imports.command import import_
from rapport.commands.log import dlt, positions
from rapport.commands.log.backup import backup, rebuild, restore
from rapport.commands.log.partitions import partitions
from rapport.commands.log.topics import topics
from rapport.commands.sentences import Sentences
from rapport.commands.up import status, up
from rapport.commands.verify import verify
from rapport.commands.watch import watch

app = typer.Typer(
    name="rapport",
    cls=Sentences,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold a key
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"rapport {version('rapport')}\n")
        raise typer.Exit


@app.callback()
def rapport(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keeps an agency's clients in touch with the people who follow them."""


for command in (demo, up, status, watch, topics, doctor, verify, erase, backup, restore, rebuild, partitions):
    app.command()(command)
app.command("import")(import_)
app.add_typer(stack.app, name="stack")
app.add_typer(brands.app, name="brands")
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(secrets.app, name="secrets")
app.add_typer(positions.app, name="positions")
app.add_typer(dlt.app, name="dlt")
processes.add_to(app)


def main() -> None:
    """Runs the command that the arguments name. Only its owner can read the files that it writes."""
    os.umask(0o077)
    app()


if __name__ == "__main__":
    main()
