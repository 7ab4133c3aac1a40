"""Workers that outlive nobody: where the process that started them is killed, they end at once."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["die_with_parent"]

_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that the kernel sends this process when its parent has died."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, which may be killed and so say nothing.

    Otherwise a worker would go on with its cell, and then wait minutes for the next. Runs are written as a whole or
    not at all, so nothing is lost that the parent's own end had not lost. Does nothing where the system is not Linux.

    Args:
        parent: process number of the parent, which may have died before this call.
    """
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):  # a C library without it: workers end by themselves, later
        return
    if os.getppid() != parent:
        os._exit(1)
