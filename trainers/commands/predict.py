"""`predict`: what a profile's model would cost on other devices, more of them, or with another batch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.errors import InputError, Problem
from trainers.commands.arguments import positive, say, share
from trainers.commands.outputs import out_file

if TYPE_CHECKING:
    from dcsim.facility.hardware import Accelerator
    from dcsim.workload.profile import CostProfile
    from trainers.predict import Prediction, Request
    from trainers.scaling import Network

__all__ = ["add", "run"]

SERVER_DEVICES = 8


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    parser = commands.add_parser("predict", help="say what a profile's model would cost elsewhere")
    parser.add_argument("profile", type=Path)
    parser.add_argument("--device", help="name in the hardware catalogue (default: the profile's)")
    parser.add_argument(
        "--devices", type=positive,
        help="how many share a step by data parallelism (default: 1, or the fewest that the profile knows)",
    )  # fmt: skip
    parser.add_argument("--batch", type=positive, help="samples per device (default: the largest measured)")
    parser.add_argument("--precision", default="", help="of products, e.g. bf16 (default: the profile's)")
    parser.add_argument(
        "--bandwidth", metavar="RATE", help="of a server to the network, one way, e.g. 100GB/s"
    )
    parser.add_argument(
        "--latency", metavar="TIME", default="5 us", help="of a message between servers (default 5 us)"
    )
    parser.add_argument(
        "--server-devices", type=positive, default=SERVER_DEVICES, help="devices of a server (default 8)"
    )
    parser.add_argument(
        "--overlap", type=share, help="part of computing behind which gradients may travel, 0 to 1"
    )
    parser.add_argument(
        "--also", type=Path, nargs="+", default=[], metavar="PROFILE",
        help="further profiles measured on the same device, to learn efficiencies from",
    )  # fmt: skip
    parser.add_argument("--extrapolate", action="store_true", help="go beyond 4 times what was measured")
    parser.add_argument(
        "--out", type=out_file, metavar="FILE", help="write a profile that dcsim can schedule"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict, print, and write a profile where asked to."""
    from dcsim.workload.profile_store import load_profile, save_profile
    from trainers.predict import predict
    from trainers.predicted import predicted_profile

    profile, _ = load_profile(options.profile)
    options.devices = options.devices or profile.fit.devices_min
    prediction = predict(profile, _request(profile, options))
    say(_table(profile, prediction))
    if options.out is not None:
        found = predicted_profile(profile, prediction, options.out.stem, _command(options))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_profile(found, options.out)
        say(f"wrote {options.out}")
    return 0


def _request(profile: CostProfile, options: argparse.Namespace) -> Request:
    """Return what the options ask for.

    Raises:
        InputError: for a device, a rate or a time that is none.
    """
    from dcsim.workload.profile_store import load_profile
    from trainers.predict import Request

    device = _device(options.device or profile.device)
    return Request(
        device=device,
        devices=options.devices,
        batch_per_device=options.batch or 0,
        network=_network(device, options),
        overlap_fraction=options.overlap,
        precision=options.precision,
        also=tuple(load_profile(path)[0] for path in options.also),
        extrapolate=options.extrapolate,
    )


def _device(name: str) -> Accelerator:
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.spec.names import nearest

    if name not in CATALOGUE:
        expected = f"one of {', '.join(CATALOGUE)}"
        raise InputError([Problem("--device", None, "", name, expected, nearest(name, sorted(CATALOGUE)))])
    return CATALOGUE[name]


def _network(device: Accelerator, options: argparse.Namespace) -> Network | None:
    """Return the servers and links that the options describe; None where no bandwidth is given."""
    from dcsim.units import Quantity, QuantityError, parse_quantity
    from trainers.scaling import INSIDE_LATENCY_S, Network

    wrong, values = [], {}
    for option, text, kind in (
        ("--bandwidth", options.bandwidth, Quantity.BANDWIDTH),
        ("--latency", options.latency, Quantity.DURATION),
    ):
        if text is None:
            continue
        try:
            values[option] = parse_quantity(text, kind)
        except QuantityError as error:
            wrong.append(Problem(option, None, "", error.got, error.expected, error.hint))
    if values.get("--bandwidth", 1.0) <= 0.0:
        wrong.append(Problem("--bandwidth", None, "", options.bandwidth, "above 0"))
    if values.get("--latency", 0.0) < 0.0:
        wrong.append(Problem("--latency", None, "", options.latency, "at least 0"))
    if wrong:
        raise InputError(wrong)
    if options.bandwidth is None:
        return None
    return Network(
        values["--bandwidth"],
        values["--latency"],
        options.server_devices,
        device.link_bandwidth_bytes_per_s,
        INSIDE_LATENCY_S,
    )


def _command(options: argparse.Namespace) -> str:
    """Return the command line that repeats a prediction, without folders."""
    words = [f"python -m trainers predict {options.profile.name} --devices {options.devices}"]
    given: dict[str, Callable[[], object]] = {
        "--device": lambda: options.device,
        "--batch": lambda: options.batch,
        "--precision": lambda: options.precision or None,
        "--bandwidth": lambda: options.bandwidth and f"'{options.bandwidth}'",
        "--latency": lambda: options.bandwidth and f"'{options.latency}'",
        "--server-devices": lambda: options.bandwidth and options.server_devices,
        "--overlap": lambda: options.overlap,
        "--also": lambda: " ".join(path.name for path in options.also) or None,
    }
    words += [f"{name} {value()}" for name, value in given.items() if value() is not None]
    return " ".join([*words, *["--extrapolate"] * options.extrapolate])


def _table(profile: CostProfile, prediction: Prediction) -> str:
    """Return a prediction as lines of text."""
    from dcsim.units import format_si

    request, step = prediction.request, prediction.step
    rows = [
        ("model", f"{profile.name}, {profile.origin} on {profile.device}"),
        (
            "configuration",
            f"{request.devices} x {request.device.name}, {request.batch_per_device} samples each",
        ),
        ("step", f"{_ms(step.step_s)} ms"),
        (
            "interval",
            f"{_ms(prediction.low_s)} to {_ms(prediction.high_s)} ms, {prediction.coverage:.0%} of steps",
        ),
        ("throughput", f"{_four_digits(prediction.samples_per_s)} samples/s"),
        (
            "MFU",
            "not known"
            if prediction.mfu is None
            else f"{prediction.mfu:.2%} of the {request.precision} peak",
        ),
        (
            "memory",
            f"{format_si(prediction.memory_bytes, 'B')} a device" if prediction.memory_bytes else "not known",
        ),
    ]
    lines = [f"{name:<15}{value}" for name, value in rows]
    lines.append(f"{'spent on':<23}{'ms':>10}{'share':>8}")
    lines += [
        f"  {name:<21}{_ms(time_s):>10}{time_s / step.step_s:8.1%}"
        for name, time_s in prediction.parts_s.items()
    ]
    if step.exchange_s > step.exposed_s:
        lines.append(f"  hidden exchange: {_ms(step.exchange_s - step.exposed_s)} ms")
    lines.append(f"{'basis':<15}{prediction.basis}")
    return "\n".join([*lines, *(f"  - {reason}" for reason in prediction.reasons)])


def _ms(time_s: float) -> str:
    return _four_digits(time_s * 1e3)


def _four_digits(value: float) -> str:
    """Return a number with four digits, those before the point in full.

    >>> _four_digits(12345.6), _four_digits(26.39912), _four_digits(1.5e-7), _four_digits(0.0)
    ('12,346', '26.4', '0.00000015', '0')
    """
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    if value == 0.0 or abs(value) >= 1e-4:
        return f"{value:.4g}"
    return f"{value:.12f}"[:14].rstrip("0")
