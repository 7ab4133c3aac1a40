"""Simulate AI data centres: jobs that cost what real training runs measured, on a coupled facility.

The public interface, on one page; each name is imported from its room when it is first used:

==================  ==============================================================================
`Scenario`          everything a run depends on but the seed, as one frozen model
`load_scenario`     read and check a YAML scenario; every problem is reported at once
`LoadedScenario`    what `load_scenario` returns: the scenario, where it lies, its hash
`simulate`          run one scenario with one seed
`RunResult`         what a run leaves: tables of jobs, events and series, a summary, balances
`write_run`         store a result in a folder, atomically and with checksums
`read_run`          read it back, checksums verified
`StoredRun`         what `read_run` returns
`replay`            run a stored result again and compare it byte for byte
`explain`           say where the time of one job of a stored run went, and to whom
`Explanation`       what `explain` returns
`compare`           run policies against each other on the same seeds
`Study`             what `compare` returns: one row a run, and paired differences
`write_report`      write a study as one HTML page that works offline
`DcsimError`        base of all errors raised on purpose; the tree is drawn in `dcsim.errors`
`InputError`        what a user wrote cannot be used: a scenario, trace, profile or series
`Problem`           one thing wrong with an input, and where; `InputError.problems` holds them
`MissingExtraError` a feature needs an optional package; the message names the extra
`__version__`       of the installed package
==================  ==============================================================================

>>> import dcsim
>>> sorted(set(dcsim.__all__) - set(dir(dcsim)))
[]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsim.errors import DcsimError, InputError, MissingExtraError, Problem
    from dcsim.report import write_report
    from dcsim.results import RunResult, StoredRun, read_run, write_run
    from dcsim.simulation import simulate
    from dcsim.spec import LoadedScenario, Scenario, load_scenario
    from dcsim.study import Explanation, Study, compare, explain, replay

    __version__: str

__all__ = [
    "DcsimError",
    "Explanation",
    "InputError",
    "LoadedScenario",
    "MissingExtraError",
    "Problem",
    "RunResult",
    "Scenario",
    "StoredRun",
    "Study",
    "__version__",
    "compare",
    "explain",
    "load_scenario",
    "read_run",
    "replay",
    "simulate",
    "write_report",
    "write_run",
]

# Importing dcsim must cost nothing, so the rooms (pydantic, pandas, pyarrow) are opened on first use.
_ROOM_OF = {
    "DcsimError": "dcsim.errors",
    "Explanation": "dcsim.study",
    "InputError": "dcsim.errors",
    "LoadedScenario": "dcsim.spec",
    "MissingExtraError": "dcsim.errors",
    "Problem": "dcsim.errors",
    "RunResult": "dcsim.results",
    "Scenario": "dcsim.spec",
    "StoredRun": "dcsim.results",
    "Study": "dcsim.study",
    "compare": "dcsim.study",
    "explain": "dcsim.study",
    "load_scenario": "dcsim.spec",
    "read_run": "dcsim.results",
    "replay": "dcsim.study",
    "simulate": "dcsim.simulation",
    "write_report": "dcsim.report",
    "write_run": "dcsim.results",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("dcsim")
    elif name in _ROOM_OF:
        value = getattr(import_module(_ROOM_OF[name]), name)
    else:
        message = f"module 'dcsim' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
