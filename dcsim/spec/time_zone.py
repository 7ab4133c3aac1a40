"""Names of time zones: known to the IANA database, or refused with the nearest."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field

from dcsim.spec.model import FieldError, FieldIssue
from dcsim.spec.names import nearest

__all__ = ["TimeZone"]


def _known(name: str) -> str:
    """Return the name of a zone that there is; "PST" and "EST5EDT" are no places."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = nearest(name, tuple(sorted(available_timezones())))
        raise FieldError(
            FieldIssue(repr(name), "an IANA time zone, such as America/Los_Angeles", hint)
        ) from None
    return name


TimeZone = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_known)]
"""IANA name of a time zone; its rules say when the clock changes."""
