"""What a process does with memory that a step has freed: keep it for the next one, or give it back to the system.

The C library of Linux (glibc) gives blocks above a limit of at most 32 MiB back as they are freed, and the heap's end as it
becomes free. XLA takes the temporaries of a step as one block, so above some batch each step has all of them mapped anew, and
pays a page fault for every 4 KiB: 11,542 a step of the convolutional network at batch 64, which took 38 instead of 17 ms.
Nothing of that is the model's or the processor's, so the processes of this package keep their memory (docs/decisions/0099).
"""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Mapping
from typing import Literal

__all__ = ["FreedMemory", "keep_freed_memory", "page_faults", "without_wishes"]

FreedMemory = Literal["kept", "returned"]

# Of mallopt(3). One arena, since those of other threads are mapped in pieces of 64 MiB at most.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for itself, until it ends; call it before JAX starts.

    Returns:
        Whether the C library took it: False where it is not glibc (musl, macOS), which has rules of its own.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wanted = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER))
    return [mallopt(option, value) for option, value in wanted] == [1] * len(wanted)


def without_wishes(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which glibc does with freed memory what it does by itself.

    >>> without_wishes({"MALLOC_MMAP_MAX_": "0", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "HOME": "/"})
    {'HOME': '/'}
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }


def page_faults() -> int:
    """Return how often this process has been given a page of memory so far, without reading it from a disk.

    >>> page_faults() > 0
    True
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
