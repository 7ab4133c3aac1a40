"""The package opens lazily, says which extra it needs, and its plug-in costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dcsim.testing


def _python(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_without_hypothesis_the_extra_is_named():
    done = _python(
        "import sys; sys.modules['hypothesis'] = None\n"
        "from dcsim.errors import MissingExtraError\n"
        "import dcsim.testing.plugin\n"
        "try:\n    from dcsim.testing import PolicyContract\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    assert done.stdout.strip() == "dcsim.testing needs an optional package: pip install 'dcsim[testing]'", (
        done.stderr
    )


def test_the_plug_in_imports_nothing_heavy():
    done = _python(
        "import sys, dcsim.testing.plugin\n"
        "heavy = {'hypothesis', 'numpy', 'pandas', 'pydantic', 'simpy', 'dcsim.simulation'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", dcsim.testing.__all__)
def test_every_name_can_be_imported(name):
    assert getattr(dcsim.testing, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'PolicyContrakt'"):
        _ = dcsim.testing.PolicyContrakt
