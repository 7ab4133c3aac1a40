"""Which data servers a file lies on."""

from __future__ import annotations

import zlib

__all__ = ["covered_data_servers", "stripe_data_servers"]


def stripe_data_servers(key: str, count: int, data_servers: int) -> list[int]:
    """Return the `count` data servers a file is striped over: a run that begins at a checksum of its name.

    Args:
        key: name of the file.
        count: 1..`data_servers`.
        data_servers: of the file system.

    >>> stripe_data_servers("imagenet", 3, 8)
    [2, 3, 4]
    """
    first = zlib.crc32(key.encode()) % data_servers
    return [(first + k) % data_servers for k in range(count)]


def covered_data_servers(files: int, stripe_count: int, data_servers: int) -> int:
    """Return over how many data servers the files of one dataset are spread, one stripe after the other.

    >>> covered_data_servers(1, 4, 16), covered_data_servers(3, 4, 16), covered_data_servers(1_281_167, 4, 16)
    (4, 12, 16)
    """
    return min(data_servers, files * stripe_count)
