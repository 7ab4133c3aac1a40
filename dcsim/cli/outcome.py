"""How a command ends: its exit code, and what a person reads when it fails."""

from __future__ import annotations

import errno
import shlex
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from dcsim.errors import DcsimError, InputError

__all__ = ["FAILED", "INTERRUPTED", "UNUSABLE_INPUT", "CleanGroup", "say"]

FAILED = 1
UNUSABLE_INPUT = 2
_DISK_FAILS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


def say(message: str) -> None:
    """Print a message for people on stderr, as it is (no markup, no wrapping)."""
    typer.echo(message, err=True)


class CleanGroup(TyperGroup):
    """A group of commands whose expected failures end in a message and an exit code, not a traceback.

    A bug still shows its traceback: hiding it would cost the report of it.
    """

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Run the chosen command; its return value is that of the command, as the base class has it."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            _say_input_error(error)
            raise typer.Exit(UNUSABLE_INPUT) from None
        except DcsimError as error:
            say(f"error: {error}")
            raise typer.Exit(FAILED) from None
        except OSError as error:
            if error.filename is None and error.errno not in _DISK_FAILS:
                raise
            say(f"error: {error.filename or 'output'}: {error.strerror}")
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            say(_after_interrupt(ctx.invoked_subcommand))
            raise typer.Exit(INTERRUPTED) from None


def _say_input_error(error: InputError) -> None:
    if not error.problems:
        say(f"error: {error}")
        return
    for problem in error.problems:
        say(str(problem))
    count = len(error.problems)
    say(f"{count} problem{'s' if count > 1 else ''}; nothing was run or written")


def _after_interrupt(command: str | None) -> str:
    """Say what is left after Ctrl-C, and how to go on."""
    if command == "compare":
        again = shlex.join(["dcsim", *sys.argv[1:]])
        return f"\ninterrupted; finished runs are kept. To go on from there, say again:\n  {again}"
    return "\ninterrupted; nothing was written"
