"""The command line: `python -m trainers COMMAND`; see `trainers.commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dcsim.errors import DcsimError, InputError, MissingExtraError
from trainers import is_of_training
from trainers.allocator import keep_freed_memory
from trainers.commands import COMMANDS

__all__ = ["main"]

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers",
        description="Train models, measure what it costs, and predict what was not measured.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 if it failed, 2 for wrong input, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough; nothing is left to flush at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except ImportError as error:
        if not is_of_training(error):
            raise
        return _failed(MissingExtraError("training", "train"))
    except (DcsimError, OSError, MemoryError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED


def _failed(error: DcsimError | OSError | MemoryError) -> int:
    """Print what went wrong, of a file as "file: reason", and return the exit code."""
    text = str(error)
    if isinstance(error, OSError):
        reason = error.strerror or text
        text = reason if error.filename is None else f"{error.filename}: {reason}"
    elif isinstance(error, MemoryError):
        text = "out of memory -> expected a smaller batch or model"
    print(f"error: {text}", file=sys.stderr)
    return EXIT_INPUT if isinstance(error, InputError | MissingExtraError | OSError) else EXIT_FAILED


if __name__ == "__main__":
    keep_freed_memory()
    sys.exit(main())
