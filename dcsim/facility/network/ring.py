"""The bytes of a ring all-reduce."""

from __future__ import annotations

__all__ = ["ring_bytes"]


def ring_bytes(members: int, message_bytes: float) -> float:
    """Return the bytes each member of a ring all-reduce sends: 2 (n - 1) / n * m.

    Source: Patarasuk, Yuan, J. Parallel Distrib. Comput. 69 (2009) 117-124 (bandwidth optimal).

    >>> ring_bytes(4, 100.0)
    150.0
    """
    return 2.0 * (members - 1) / members * message_bytes
