"""Several processes started together, and stopped together when one of them fails."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dcsim.errors import DcsimError

__all__ = ["LaunchError", "die_with_parent", "free_port", "run_together"]

LAST_WORDS = 20
"""Lines that are kept of each process."""
PATIENCE_S = 5.0
"""Between asking a process to stop and stopping it."""
EXIT_ORPHANED = 3


class LaunchError(DcsimError):
    """One of several processes failed or did not end; the others were stopped."""


@dataclass
class _Member:
    """A started process, and what it said last."""

    number: int
    process: subprocess.Popen[str]
    words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))
    listener: threading.Thread | None = None


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now; another may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def run_together(
    commands: Sequence[Sequence[str]],
    *,
    timeout_s: float,
    say: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run commands at the same time until all have ended well; whatever happens, none of them outlives this call.

    Each is given an open pipe as standard input that nobody writes to: it ends when this process does, even if killed,
    which is how `die_with_parent` notices.

    Args:
        commands: one a process; process 0 speaks, the others are heard only where they fail.
        timeout_s: for all of it, > 0 [s].
        say: called with each line of process 0.
        environment: of all of them; None: that of this process.

    Raises:
        LaunchError: naming the process that failed first, with its last words, or those that did not end in time.
    """
    members: list[_Member] = []
    ended: queue.SimpleQueue[_Member] = queue.SimpleQueue()
    try:
        for number, command in enumerate(commands):
            member = _started(number, command, environment)
            members.append(member)
            member.listener = threading.Thread(target=_listen, args=(member, say, ended), daemon=True)
            member.listener.start()
        _wait(members, ended, timeout_s)
    finally:
        _stop(members)


def _started(number: int, command: Sequence[str], environment: Mapping[str, str] | None) -> _Member:
    process = subprocess.Popen(  # noqa: S603 - our own program
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env=None if environment is None else dict(environment),
    )  # fmt: skip
    return _Member(number, process)


def _listen(member: _Member, say: Callable[[str], None], ended: queue.SimpleQueue[_Member]) -> None:
    """Take down what a process says until it has ended."""
    if member.process.stdout is not None:
        with member.process.stdout as lines:
            for line in lines:
                member.words.append(line.rstrip("\n"))
                if member.number == 0:
                    say(member.words[-1])
    member.process.wait()
    ended.put(member)


def _wait(members: Sequence[_Member], ended: queue.SimpleQueue[_Member], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    running = {member.number for member in members}
    while running:
        try:
            member = ended.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            names = ", ".join(str(number) for number in sorted(running))
            raise LaunchError(f"process {names}: still running after {timeout_s:g} s -> stopped") from None
        running.discard(member.number)
        if member.process.returncode != 0:
            said = "\n".join(f"  {line}" for line in member.words) or "  nothing"
            raise LaunchError(
                f"process {member.number} of {len(members)} ended with {_how(member.process.returncode)}; "
                f"the others were stopped. It said last:\n{said}"
            )


def _how(returncode: int) -> str:
    return f"exit code {returncode}" if returncode >= 0 else f"signal {-returncode}"


def _stop(members: Sequence[_Member]) -> None:
    """End those that still run: by request, then by force."""
    for member in members:
        if member.process.poll() is None:
            member.process.terminate()
    deadline_s = time.monotonic() + PATIENCE_S
    for member in members:
        try:
            member.process.wait(timeout=max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()
        if member.process.stdin is not None:
            member.process.stdin.close()
        if member.listener is not None:
            member.listener.join(timeout=PATIENCE_S)


def die_with_parent() -> None:
    """End this process as soon as its standard input does, which `run_together` holds open as long as it lives."""

    def watch() -> None:
        # Not through sys.stdin: a reader that waits inside it would keep the interpreter from ending.
        while os.read(0, 1024):
            pass
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=watch, daemon=True).start()
