"""What is stored where: objects with sizes, on places that fill up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dcsim.errors import GuardError
from dcsim.facility.storage.redundancy import stored_bytes
from dcsim.spec.redundancy import NoRedundancySpec, RedundancySpec
from dcsim.spec.storage import StorageSpec

__all__ = ["NO_SERVER", "Full", "Place", "Stored", "Volumes"]

Place: TypeAlias = Literal["shared", "object", "local"]
NO_SERVER = -1
"""Of what is not on a server's own disk."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that has its room; `stored_bytes` counts its copies and parity, too."""

    place: Place
    server: int
    key: str
    size_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Full:
    """There is no room: nothing was changed. An event for who asked, no error."""

    place: Place
    server: int
    key: str
    asked_bytes: int
    """More room than it had, copies and parity included."""
    free_bytes: int

    def __str__(self) -> str:
        where = self.place if self.server == NO_SERVER else f"disk of server {self.server}"
        return f"{where} is full: {self.key} needs {self.asked_bytes} B, {self.free_bytes} B are free"


class _Volume:
    """One place with room for so many bytes; None: any number."""

    __slots__ = ("capacity", "objects", "used")

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.used = 0
        self.objects: dict[str, Stored] = {}


class Volumes:
    """The shared file system, the object store and each server's disk, as room that objects take.

    All sizes are whole bytes, so 0 <= used <= capacity and used = sum of the objects hold exactly. What
    is being written takes its room from the start; who gives up removes it again.

    Args:
        spec: capacities and redundancy. The part of each disk that a node cache of a given size has is
            not for objects.
        servers: S.
        on_disk: told (server, bytes free) when the objects on a disk change.

    >>> volumes = Volumes(StorageSpec.model_validate({"local": {"capacity_bytes": "1 TB"}}), servers=2)
    >>> volumes.put("local", "a", 600_000_000_000, server=0)  # doctest: +ELLIPSIS
    Stored(place='local', server=0, key='a', ...)
    >>> print(volumes.put("local", "b", 600_000_000_000, server=0))
    disk of server 0 is full: b needs 600000000000 B, 400000000000 B are free
    """

    def __init__(
        self, spec: StorageSpec, servers: int, on_disk: Callable[[int, int], object] | None = None
    ) -> None:
        self.servers = servers
        self._on_disk = on_disk
        cache, store = spec.cache, spec.object_store
        reserved = cache.capacity_bytes if cache is not None and cache.where == "node" else None
        self._disk_capacity = int(spec.local.capacity_bytes - (reserved or 0.0))
        self._disks: dict[int, _Volume] = {}
        """Those with anything on them."""
        self._pools: dict[str, _Volume] = {"shared": _Volume(_whole(spec.shared.capacity_bytes))}
        self._redundancy: dict[str, RedundancySpec] = {
            "shared": spec.shared.redundancy,
            "local": NoRedundancySpec(),
        }
        if store is not None:
            self._pools["object"] = _Volume(_whole(store.capacity_bytes))
            self._redundancy["object"] = store.redundancy

    def put(self, place: Place, key: str, size_bytes: int, server: int = NO_SERVER) -> Stored | Full:
        """Store an object, or say that there is no room; an object of that name is replaced.

        Args:
            place: where; `server` says whose disk under "local".
            key: name of the object, unique in its place.
            size_bytes: whole bytes, >= 0, without copies and parity.
            server: 0..S-1 under "local".

        Raises:
            GuardError: no such place, or a size that is none.
        """
        if size_bytes < 0:
            msg = f"{key}: {size_bytes} B -> expected at least 0"
            raise GuardError(msg)
        volume = self._volume(place, server)
        stored = self.stored_bytes(place, size_bytes)
        old = volume.objects.get(key)
        more = stored - (old.stored_bytes if old is not None else 0)
        if volume.capacity is not None and volume.used + more > volume.capacity:
            return Full(place, server, key, more, volume.capacity - volume.used)
        volume.used += more
        volume.objects[key] = Stored(place, server, key, size_bytes, stored)
        self._changed(place, server)
        return volume.objects[key]

    def remove(self, place: Place, key: str, server: int = NO_SERVER) -> int:
        """Remove an object; returns the bytes that it leaves free, 0 where it is not there."""
        volume = self._volume(place, server)
        old = volume.objects.pop(key, None)
        if old is None:
            return 0
        volume.used -= old.stored_bytes
        self._changed(place, server)
        return old.stored_bytes

    def resize(self, place: Place, key: str, size_bytes: int, server: int = NO_SERVER) -> Stored | Full:
        """Let an object grow or shrink, or say that there is no room (it stays as it was).

        Raises:
            GuardError: there is no such object.
        """
        if key not in self._volume(place, server).objects:
            msg = f"{key}: not on {place} -> expected an object that is stored"
            raise GuardError(msg)
        return self.put(place, key, size_bytes, server)

    def wipe(self, server: int) -> list[str]:
        """Lose all that is on a server's disk; returns the names, oldest first."""
        volume = self._disks.pop(server, None)
        if volume is None or not volume.objects:
            return []
        self._changed("local", server)
        return list(volume.objects)

    def objects(self, place: Place, server: int = NO_SERVER) -> tuple[Stored, ...]:
        """Return what is stored there, oldest first."""
        return tuple(self._volume(place, server).objects.values())

    def used_bytes(self, place: Place, server: int = NO_SERVER) -> int:
        """Return the bytes in use, copies and parity included."""
        return self._volume(place, server).used

    def capacity_bytes(self, place: Place, server: int = NO_SERVER) -> int | None:
        """Return the room for objects in all; None: no limit."""
        return self._volume(place, server).capacity

    def free_bytes(self, place: Place, server: int = NO_SERVER) -> int | None:
        """Return the bytes that are free; None: no limit."""
        volume = self._volume(place, server)
        return None if volume.capacity is None else volume.capacity - volume.used

    def stored_bytes(self, place: Place, size_bytes: int) -> int:
        """Return what an object of this size takes there with its copies and parity, in whole bytes."""
        return stored_bytes(self._redundancy[place], size_bytes)

    def check(self) -> None:
        """Prove that every place holds what its objects say, and no more than it can.

        Raises:
            GuardError: it does not.
        """
        places = [*self._pools.items(), *((f"disk of server {s}", v) for s, v in self._disks.items())]
        for name, volume in places:
            stored = sum(item.stored_bytes for item in volume.objects.values())
            if stored != volume.used or (volume.capacity is not None and volume.used > volume.capacity):
                msg = f"{name}: {volume.used} B in use of {volume.capacity}, objects of {stored} B"
                raise GuardError(msg)

    def _volume(self, place: Place, server: int) -> _Volume:
        if place != "local":
            if place not in self._pools:
                msg = f"{place} -> expected a place of this scenario: {', '.join(self._pools)}, local"
                raise GuardError(msg)
            return self._pools[place]
        if not 0 <= server < self.servers:
            msg = f"server {server} -> expected 0 to {self.servers - 1}"
            raise GuardError(msg)
        volume = self._disks.get(server)
        if volume is None:
            volume = self._disks[server] = _Volume(self._disk_capacity)
        return volume

    def _changed(self, place: Place, server: int) -> None:
        if place == "local" and self._on_disk is not None:
            self._on_disk(server, self.free_bytes(place, server) or 0)


def _whole(capacity_bytes: float | None) -> int | None:
    """Return a capacity in whole bytes."""
    return None if capacity_bytes is None else int(capacity_bytes)
