"""Write docs/reference and the JSON Schema of scenarios from the code: python scripts/generate_reference.py."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.models import OptionInfo

from dcsim.cli import app
from dcsim.facility.hardware import CATALOGUE, Accelerator
from dcsim.policies import known_policies
from dcsim.policies.base import ALL_MAY_PASS
from dcsim.policies.registry import ROUTING, PolicyClass
from dcsim.results import schema
from dcsim.results.fleet import FLEET_JOBS, FLEET_SUMMARY
from dcsim.simulation.traffic_bins import MAX_BINS
from dcsim.simulation.traffic_sums import MAX_LINKS, MAX_TENANTS, OTHER_TENANTS
from dcsim.spec import json_schema, json_schema_text
from dcsim.spec.fleet import FleetSpec
from dcsim.workload.readers.native import column_reference
from dcsim.workload.readers.reference import formats_reference
from scripts.policy_drawings import policy_drawings
from scripts.policy_examples import POLICY_EXAMPLES

__all__ = ["SCHEMA_FILE", "generated_files", "main"]

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = Path("docs/reference")
DRAWINGS = Path("docs/images/policies")
SCHEMA_FILE = Path("scenarios/scenario.schema.json")
NOTE = (
    "<!-- Generated from the code by scripts/generate_reference.py (`make reference`); do not edit. -->\n\n"
)


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file by its path from the root of the repository."""
    pages = {
        "cli.md": _commands(),
        "fleet.md": _fleet(),
        "hardware.md": _hardware(),
        "policies.md": _policies(),
        "results.md": _results(),
        "scenario.md": _scenario(),
        "traces.md": _traces(),
    }
    files = {REFERENCE / name: NOTE + text for name, text in pages.items()}
    drawings = {DRAWINGS / name: text for name, text in policy_drawings().items()}
    return {**files, **drawings, SCHEMA_FILE: json_schema_text()}


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# Commands


def _commands() -> str:
    head = (
        "# Commands\n\nExit codes: 0 done; 1 failed; 2 the input cannot be used, with every problem on stderr and "
        "nothing written; 130 interrupted.\n\n`dcsim --plugins COMMAND ...` loads the policies of installed packages "
        "first (entry-point group `dcsim.policies`); it runs their code.\n"
    )
    return head + "".join(_command(name, callback) for name, callback in _leaves("dcsim", app))


def _leaves(name: str, group: typer.Typer) -> Iterable[tuple[str, Callable[..., Any]]]:
    for command in group.registered_commands:
        if command.callback is not None:
            yield f"{name} {command.name or command.callback.__name__}", command.callback
    for child in group.registered_groups:
        if child.typer_instance is not None:
            yield from _leaves(f"{name} {child.name}", child.typer_instance)


def _command(name: str, callback: Callable[..., Any]) -> str:
    rows, words = [], [name]
    for parameter in inspect.signature(callback, eval_str=True).parameters.values():
        (info,) = parameter.annotation.__metadata__
        spelling = info.metavar
        if isinstance(info, OptionInfo):
            # In Annotated[...] typer takes a first name, as in Option("--format"), for a default.
            named = [*(info.param_decls or ()), info.default]
            spelled = [name for name in named if isinstance(name, str) and name.startswith("--")]
            option = spelled[0] if spelled else f"--{parameter.name.replace('_', '-')}"
            spelling = f"{option} {info.metavar or ''}".strip()
        else:
            words.append(info.metavar)
        rows.append([f"`{spelling}`", info.help, _default(parameter.default)])
    table = _table(["argument or option", "meaning", "default"], rows) if rows else ""
    return f"\n## {name}\n\n```text\n{' '.join(words)}\n```\n\n{inspect.getdoc(callback)}\n\n{table}"


def _default(value: object) -> str:
    if value is None or value is inspect.Parameter.empty:
        return ""
    return f"`{getattr(value, 'value', value)}`"


# Hardware


def _hardware() -> str:
    text = (
        "# Hardware catalogue\n\nRates are dense peaks (no structured sparsity), bandwidths are of one direction. A "
        "scenario adds or replaces models under `accelerators`.\n"
    )
    for accelerator in CATALOGUE.values():
        text += f"\n## {accelerator.name}\n\n{_table(['figure', 'value', 'source'], _figures(accelerator))}"
    return text


def _figures(accelerator: Accelerator) -> list[list[str]]:
    sources: Mapping[str, str] = accelerator.sources
    peak = sources.get("peak_flop_per_s", "")
    rows = [
        [f"peak {name}, TFLOP/s", f"{rate / 1e12:,.6g}", peak]
        for name, rate in accelerator.peak_flop_per_s.items()
    ]
    for label, field, scale in (
        ("memory, GB", "memory_bytes", 1e9),
        ("memory bandwidth, GB/s", "memory_bandwidth_bytes_per_s", 1e9),
        ("link bandwidth, GB/s", "link_bandwidth_bytes_per_s", 1e9),
        ("idle power, W", "idle_power_w", 1.0),
        ("peak power, W", "peak_power_w", 1.0),
    ):
        rows.append([label, f"{getattr(accelerator, field) / scale:,.6g}", sources.get(field, "")])
    curve = accelerator.cap_curve
    return [*rows, ["power under a cap", f"held from {accelerator.least_cap:.3g} of the peak", curve.source]]


# Policies


def _policies() -> str:
    text = (
        "# Policies\n\nNames for `policies:` of a scenario and for the options of `dcsim run` and `dcsim compare`. "
        "Below each table every policy decides the same worked example.\n"
    )
    header = ["name", "what it does", "aims at", "needs to know", "a decision costs", "parameters", "source"]
    anchors = _Anchors()
    for kind, example in POLICY_EXAMPLES.items():
        known = sorted(known_policies(kind).items())
        anchors.of(kind)
        rows = [_policy(name, policy, anchors.of(name)) for name, policy in known]
        text += f"\n## {kind}\n\n{_table(header, rows)}"
        text += f"\n{example}\n"
        for name, policy in known:
            text += f"\n### {name}\n\n{inspect.getdoc(policy)}\n"
            text += _parameters(policy)
            text += f"\n![What {name} decides](../images/policies/{kind}-{name}.svg)\n"
    return text


class _Anchors:
    """Anchors of headings as GitHub makes them: the second of one text ends in -1."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def of(self, heading: str) -> str:
        """Return the anchor of the next heading of that text, in the page's order."""
        before = self._seen.get(heading, 0)
        self._seen[heading] = before + 1
        return f"{heading}-{before}" if before else heading


def _parameters(policy: PolicyClass) -> str:
    if not inspect.signature(policy).parameters:
        return ""
    said = inspect.cleandoc(policy.__init__.__doc__ or "").partition("Raises:")[0].strip()
    return f"\nParameters: {said.removeprefix('Take ')}\n" if said else ""


def _policy(name: str, policy: PolicyClass, anchor: str) -> list[str]:
    given = [
        f"`{item.name}={_shown(item.default)}`" for item in inspect.signature(policy).parameters.values()
    ]
    summary = (inspect.getdoc(policy) or "").partition("\n\n")[0]
    return [
        f"[`{name}`](#{anchor})",
        summary,
        policy.optimises,
        policy.needs,
        policy.complexity,
        ", ".join(given),
        policy.source,
    ]


def _shown(default: object) -> object:
    return f"{default:_}" if default == ALL_MAY_PASS else default


# Results


def _results() -> str:
    tables = {
        "summary.csv": (
            schema.SUMMARY,
            (
                "One row for each arm and seed of a study. Where several orderings are compared, or policies of the cooling or the\n"
                "battery, a column `ordering` follows, and with them `cooling` and `battery`, each where its policies are compared:\n"
                "the policies of the row. `arms.csv` then names the arms in full."
            ),
        ),
        "jobs.parquet": (
            schema.JOBS,
            (
                f"One row a job, in order of submission. `{schema.TIMES[0].name}` to `{schema.TIMES[-1].name}` are seconds"
                " of the job's own\ntime and add up to `jct_s`, or to the time from submission to the end of the run for"
                " a job that goes on."
            ),
        ),
        "manifest.json, account": (
            schema.ACCOUNT,
            (
                "What the site used, emitted and paid over the whole run; not in study tables, which have the columns of `summary.csv`."
            ),
        ),
        "series.parquet": (schema.SERIES, "One row a time bin; rates are exact means of the bin."),
        "events.parquet": (schema.EVENTS, "One row an event, in the order in which they happened."),
        "links.parquet": (
            schema.LINKS,
            (
                "One row for each link and time bin in which it carried anything, by link, then time. Names, tiers and\n"
                f"capacities are in the manifest under `links`. At most {MAX_BINS} bins, and the {MAX_LINKS} links with the"
                " busiest bins;\n`links.left_out` counts the others that carried anything."
            ),
        ),
        "tiers.parquet": (
            schema.TIERS,
            (
                "One row for each tier of links, tenant and time bin with traffic: of all links. Tenants beyond the"
                f"\n{MAX_TENANTS} with most bytes are told together as `{OTHER_TENANTS}`."
            ),
        ),
    }
    text = f"# Result tables\n\nVersion {schema.RESULT_VERSION} of the format. All values are SI.\n"
    for name, (columns, about) in tables.items():
        rows = [[f"`{column.name}`", column.dtype, column.unit, column.meaning] for column in columns]
        text += f"\n## {name}\n\n{about}\n\n{_table(['column', 'type', 'unit', 'meaning'], rows)}"
    return text


# Scenario


def _scenario() -> str:
    whole = json_schema()
    text = (
        "# Scenario\n\nA quantity is a number in SI or text with a unit (`6.5 kW`, `400 Gbit/s`, `2 h`). "
        f"Editors complete and check YAML with [the JSON Schema](../../{SCHEMA_FILE}).\n"
    )
    return text + _parts({"Scenario": whole, **whole["$defs"]})


def _parts(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one table of fields for each part of a JSON Schema."""
    text = ""
    for name, part in parts.items():
        if "properties" in part:
            required = part.get("required", [])
            rows = [_field(field, facts, field in required) for field, facts in part["properties"].items()]
            about = part.get("description", "")
            text += f"\n## {name}\n\n{about}\n\n{_table(['field', 'value', 'default', 'meaning'], rows)}"
    return text


def _field(name: str, facts: Mapping[str, Any], required: bool) -> list[str]:  # noqa: FBT001 - a column of a table
    default = "required" if required else _shown_default(facts)
    return [f"`{name}`", _type(facts), default, facts.get("description", "")]


def _shown_default(facts: Mapping[str, Any]) -> str:
    value = facts.get("default")
    if value is None:
        return "none"
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= 40 else "see there"


def _type(facts: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one return a kind of schema
    """Name the type of a JSON Schema property for people.

    >>> _type({"anyOf": [{"$ref": "#/$defs/RackSpec"}, {"type": "null"}]})
    '[RackSpec](#rackspec), null'
    """
    if "$ref" in facts:
        name = facts["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in facts:
        return f"`{facts['const']}`"
    if "enum" in facts:
        return ", ".join(f"`{value}`" for value in facts["enum"])
    for key in ("anyOf", "oneOf"):
        if key in facts:
            return ", ".join(dict.fromkeys(_type(choice) for choice in facts[key]))
    kind = str(facts.get("type", "any"))
    if kind == "array":
        return f"list of {_type(facts.get('items', {}))}"
    if kind == "object":
        values = [*facts.get("patternProperties", {}).values(), facts.get("additionalProperties")]
        inner = [_type(value) for value in values if isinstance(value, dict)]
        return f"mapping to {inner[0]}" if inner else "mapping"
    return _bounded(kind, facts)


def _bounded(kind: str, facts: Mapping[str, Any]) -> str:
    if facts.get("examples"):
        return f"text such as `{facts['examples'][0]}`"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {facts[key]:g}" for key, sign in signs.items() if key in facts]
    return " ".join([kind, ", ".join(limits)]).strip()


# Fleets


def _fleet() -> str:
    text = (
        "# Fleet\n\nA fleet file names several halls, each described by a [scenario](scenario.md), one stream of jobs, "
        "and a router ([how to](../how-to/shift-between-sites.md)).\n"
    )
    whole, shared = FleetSpec.model_json_schema(), json_schema()["$defs"]
    parts = {"Fleet": whole, **{name: part for name, part in whole["$defs"].items() if name not in shared}}
    # Parts that scenarios have too are told there.
    text += re.sub(r"\]\(#(\w+)\)", lambda link: _scenario_link(link[1], parts), _parts(parts))
    header = ["name", "what it does", "aims at", "needs to know", "a decision costs", "parameters", "source"]
    known = sorted(known_policies(ROUTING).items())
    text += f"\n## Routers\n\n{_table(header, [_policy(name, policy, name) for name, policy in known])}"
    for name, policy in known:
        text += f"\n### {name}\n\n{inspect.getdoc(policy)}\n{_parameters(policy)}"
    for name, (columns, about) in {
        "jobs.parquet": (FLEET_JOBS, "One row a job of the fleet, in the order of submission at home."),
        "fleet.json": (
            FLEET_SUMMARY,
            "A row for each site and one of the fleet; the network has what adds up.",
        ),
    }.items():
        rows = [[f"`{column.name}`", column.dtype, column.unit, column.meaning] for column in columns]
        text += f"\n## {name}\n\n{about}\n\n{_table(['column', 'type', 'unit', 'meaning'], rows)}"
    return text


def _scenario_link(anchor: str, parts: Mapping[str, object]) -> str:
    here = any(name.lower() == anchor for name in parts)
    return f"](#{anchor})" if here else f"](scenario.md#{anchor})"


# Traces


def _traces() -> str:
    head = (
        "# Native traces\n\nCSV (UTF-8, header) or Parquet with the columns below; `dcsim trace import` writes it from "
        "published formats, `dcsim trace describe` says what is in it.\n\n"
    )
    return head + column_reference() + formats_reference()


def main() -> None:
    """Write every generated file and say which changed."""
    for relative, text in generated_files().items():
        path = ROOT / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        if changed:
            path.write_text(text, encoding="utf-8")
        print(f"{'wrote' if changed else 'same '} {relative}")


if __name__ == "__main__":
    main()
