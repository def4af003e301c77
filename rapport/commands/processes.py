"""A command for each process of an installation."""

import importlib
from collections.abc import Callable

import typer

# Module whose `run()` serves, and what the process does.
_MODULES = {
    "ingest": ("services.ingest.app", "Read the platforms and the generic door into the log."),
    "scorer": ("services.scorer.app", "Keep the clocks of unanswered comments and the state of relationships."),
    "notifier": ("services.notifier.app", "Send alerts before and when an answer is late: mail and webhooks."),
    "projector": ("services.api.projector.process", "Write the log into the views that the API reads."),
    "api": ("services.api.app", "Serve the API and the portal."),
}


def add_to(app: typer.Typer) -> None:
    """Adds a command for each process."""
    for name, (module, does) in _MODULES.items():
        app.command(name, help=f"{does} Configured by RAPPORT_… variables; runs until SIGTERM.")(_runner(module))


def _runner(module: str) -> Callable[[], None]:
    def run() -> None:
        importlib.import_module(module).run()

    return run
