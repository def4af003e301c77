"""The `rapport` command."""

import typer

from rapport.commands import accounts, brands, keys, processes, stack
from rapport.commands.demo import demo
from rapport.commands.erase import erase
from rapport.commands.topics import topics
from rapport.commands.up import status, up
from rapport.commands.verify import verify
from rapport.commands.watch import watch

app = typer.Typer(
    name="rapport",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold a key
    help="Keeps an agency's clients in touch with the people who follow them.",
)
for command in (demo, up, status, watch, topics, verify, erase):
    app.command()(command)
app.add_typer(stack.app, name="stack")
app.add_typer(brands.app, name="brands")
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
processes.add_to(app)


def main() -> None:
    """Runs the command of this process's arguments."""
    app()


if __name__ == "__main__":
    main()
