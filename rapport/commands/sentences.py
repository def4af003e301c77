"""Errors in one sentence: what is wrong with a command or its surroundings, without a traceback."""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError
from typer.core import TyperGroup

from rapport.kit.text import plain

MISTYPED = 2
"""The exit code when the command line itself is wrong."""


class Sentences(TyperGroup):
    """The `rapport` command. Our own bugs still end with a traceback: somebody has to fix them."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command that the arguments name, and exits unless told not to."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except NoArgsIsHelpError as error:
            error.show()
            code = MISTYPED
        except ClickException as error:
            code = error.exit_code
            _say(_with_help(error))
        except typer.Abort:
            code = 1
            _say("stopped before anything was done")
        except Exception as error:
            reason = reason_of(error)
            if reason is None:
                raise
            code = 1
            _say(reason)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def reason_of(error: Exception) -> str | None:
    """The message for an error of the surroundings: settings, files, ports, servers. None for any other error."""
    from pydantic import ValidationError

    from rapport.local.errors import StackError

    if isinstance(error, StackError):
        return str(error)
    if isinstance(error, ValidationError):
        return "; ".join(_variable(problem) + _message(problem) for problem in error.errors())
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename is not None else ""
        return f"{what}{error.strerror or error}"
    # Whoever meets these errors has loaded their libraries.
    for library, server in (("kafka.errors", "Kafka"), ("aiokafka.errors", "Kafka")):
        module = sys.modules.get(library)
        if module is not None and isinstance(error, module.KafkaError):
            return f"{server}: {type(error).__name__}: {error}"
    module = sys.modules.get("pymongo.errors")
    if module is not None and isinstance(error, module.PyMongoError):
        return f"MongoDB: {type(error).__name__}: {error}"
    return None


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def _variable(problem: Any) -> str:
    """The environment variable of a setting, if the problem is about a single setting."""
    if not problem["loc"]:
        return ""
    return f"RAPPORT_{'_'.join(str(part) for part in problem['loc']).upper()}: "


def _message(problem: Any) -> str:
    return str(problem["msg"]).removeprefix("Value error, ")


def _with_help(error: ClickException) -> str:
    message = one_line(error.format_message()).removesuffix(".")
    if isinstance(error, UsageError) and error.ctx is not None:
        return f"{message}; see `{error.ctx.command_path} --help`"
    return message


def _say(reason: str) -> None:
    sys.stderr.write(f"rapport: {plain(reason)}\n")
