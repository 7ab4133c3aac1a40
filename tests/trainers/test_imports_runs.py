"""Event logs and traces of real runs: read by their published formats, every checksum looked at."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import load_profile
from trainers.__main__ import main
from trainers.imports.tensorboard import Scalar, scalars
from trainers.imports.tfrecord import crc32c, masked_crc32c
from trainers.imports.wire import WireError, fields

RUN = ("--devices", "2", "--batch", "16", "--device", "T4")


def imported(source: str, path: Path, *options: str) -> CostProfile:
    out = path.parent / "out"
    assert main(["import", source, str(path), "--out", str(out), *RUN, *options]) == 0
    (file,) = out.glob("*.json")
    return load_profile(file)[0]


def refused(source: str, path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    out = path.parent / "out"
    assert main(["import", source, str(path), "--out", str(out), *RUN, *options]) == 2
    assert not out.exists()
    return capsys.readouterr().err


# The vectors of RFC 3720, appendix B.4.
@pytest.mark.parametrize(
    ("data", "expected"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"", 0)],
)
def test_crc32c(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def event(wall_time_s: float, step: int, tag: str, value: float, *, tensor: bool = False) -> bytes:
    """An Event message as event.proto, summary.proto and tensor.proto lay it out."""
    if tensor:
        content = field(8, b"\x08\x01" + field(4, struct.pack("<f", value)))
    else:
        content = b"\x15" + struct.pack("<f", value)
    summary = field(1, field(1, tag.encode()) + content)
    return b"\x09" + struct.pack("<d", wall_time_s) + b"\x10" + bytes([step]) + field(5, summary)


def log(folder: Path, events: Sequence[bytes]) -> Path:
    (folder / "run").mkdir(exist_ok=True)
    path = folder / "run/events.out.tfevents.1.host"
    version = b"\x09" + struct.pack("<d", 1.0) + field(3, b"brain.Event:2")
    path.write_bytes(b"".join(map(record, [version, *events])))
    return path


LOGGED = [event(1e9 + wait_s, step, "loss", 1.0) for step, wait_s in ((0, 0.0), (10, 9.0), (20, 11.0), (30, 13.0), (50, 17.0))]  # fmt: skip


def test_wall_times_between_logged_steps(tmp_path: Path) -> None:
    """9 s for the first ten steps, which compile; then 2 s for each ten."""
    profile = imported("tensorboard", log(tmp_path, LOGGED), "--warm-up", "1")
    (point,) = profile.points
    assert (point.devices, point.batch_per_device, point.step_time_s, point.steps) == (2, 16, 0.2, 3)


@pytest.mark.parametrize("tensor", [False, True])
def test_scalars_that_hold_step_times(*, tensor: bool, tmp_path: Path) -> None:
    events = [
        event(1e9, step, "step_ms", time_ms, tensor=tensor)
        for step, time_ms in enumerate((900, 250, 250, 500))
    ]
    log(tmp_path, [*LOGGED, *events])
    profile = imported("tensorboard", tmp_path / "run", "--tag", "step_ms", "--unit", "ms", "--warm-up", "1")
    assert [point.step_time_s for point in profile.points] == [0.25]
    assert "events.out.tfevents.1.host sha256" in profile.provenance.dataset


def test_every_flipped_bit_of_a_log_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, LOGGED)
    sound = path.read_bytes()
    for at in range(0, len(sound), 7):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        said = refused("tensorboard", path, capsys)
        assert "checksum" in said or "cut off" in said


@pytest.mark.parametrize("cut", [1, 5, 11, 20])
def test_a_log_cut_off(cut: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, LOGGED)
    path.write_bytes(path.read_bytes()[:-cut])
    assert "is cut off" in refused("tensorboard", path, capsys)


def test_logs_that_tell_no_step_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, LOGGED)
    assert "one of loss" in refused("tensorboard", path, capsys, "--tag", "los")
    assert "more than 10 steps" in refused("tensorboard", path, capsys, "--warm-up", "9")
    path.write_bytes(b"")
    assert "no scalars" in refused("tensorboard", path, capsys)
    path.write_bytes(record(b"\x09\x00"))
    assert "record 0: a field beyond the end" in refused("tensorboard", path, capsys)
    log(tmp_path, [event(1e9, step, "loss", -1.0) for step in range(4)])
    assert "step times above 0" in refused("tensorboard", path, capsys, "--unit", "s")
    path.unlink()
    assert "no file events.out.tfevents" in refused("tensorboard", tmp_path / "run", capsys)


@pytest.mark.parametrize("message", [b"\x08", b"\x80" * 11, b"\x00\x00", b"\x0b", b"\x12\x05a"])
def test_bytes_that_are_no_message(message: bytes) -> None:
    with pytest.raises(WireError):
        list(fields(message))


def complete(name: str, start_us: Any, duration_us: float, tid: int = 1, **more: Any) -> dict[str, Any]:
    return {"ph": "X", "pid": 7, "tid": tid, "ts": start_us, "dur": duration_us, "name": name, **more}


def trace(folder: Path, events: Sequence[Any], *, packed: bool = True) -> Path:
    path = folder / "host.trace.json.gz"
    content = json.dumps({"displayTimeUnit": "ns", "traceEvents": events}).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


# As jax.profiler.trace writes it: numbers of arguments as text, an empty event at the end.
JAX = [
    {"ph": "M", "pid": 7, "name": "process_name", "args": {"name": "/host:CPU"}},
    *(complete("train_step", 1000.0 * k + 500 * (k > 0), 300.0, args={"step_num": str(k)}) for k in range(5)),
    *(complete("dot.1", 1000.0 * k + 600, 250.0, tid=2, args={"hlo_op": "dot.1", "device_ordinal": "0"}) for k in range(1, 5)),
    {},
]  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
def test_steps_of_a_jax_trace(*, packed: bool, tmp_path: Path) -> None:
    """From 1,500 us on a step starts each 1,000 us, of which an operator runs 250."""
    profile = imported("trace", trace(tmp_path, JAX, packed=packed), "--model", "net")
    (point,) = profile.points
    assert point.step_time_s == pytest.approx(1e-3)
    assert point.steps == 3
    assert "devices: busy 25.0% of the steps" in profile.provenance.warnings
    assert (profile.operators, profile.flops_per_sample) == ((), None)


def test_operators_of_a_trace_with_flops(tmp_path: Path) -> None:
    """Two steps after the first, 2 devices of 16 samples: a product of 3,200 FLOP and a copy of none, 640 B each."""
    steps = [complete("train_step", 100.0 * k, 90.0, args={"step_num": k}) for k in range(4)]
    names = [
        {"ph": "M", "pid": pid, "tid": 1, "name": "thread_name", "args": {"name": "XLA Ops"}}
        for pid in (8, 9)
    ]
    ops = []
    for pid in (8, 9):
        for k in range(4):
            counted = {"flops": "3200", "bytes_accessed": "640", "hlo_category": "convolution"}
            ops.append({**complete("fusion.1", 100.0 * k + 10, 20.0, args=counted), "pid": pid})
            copied = {"flops": 0, "bytes_accessed": 640, "hlo_category": "copy"}
            ops.append({**complete("copy.1", 100.0 * k + 40, 5.0, args=copied), "pid": pid})
            loop = {"flops": 1e9, "bytes_accessed": 1e9, "hlo_category": "while"}
            ops.append({**complete("while.1", 100.0 * k + 10, 40.0, args=loop), "pid": pid})
            ops.append({**complete("jit_step", 100.0 * k, 90.0, tid=2, args={"hlo_op": "again"}), "pid": pid})
    profile = imported("trace", trace(tmp_path, [*names, *steps, *ops]))
    costs = {each.kind: (each.flops_per_sample, each.bytes_per_sample) for each in profile.operators}
    assert costs == {"convolution": (200.0, 40.0), "data_movement": (0.0, 40.0)}
    assert (profile.flops_per_sample, profile.bytes_accessed_per_sample) == (200.0, 80.0)


def test_steps_of_a_pytorch_trace(tmp_path: Path) -> None:
    """Steps 3 and 5 do not follow each other: the time between them is none of a step."""
    starts = {2: 0.0, 3: 2000.0, 5: 9000.0, 6: 11000.0}
    events = [complete(f"ProfilerStep#{k}", at, 1900.0, cat="user_annotation") for k, at in starts.items()]
    events += [
        complete("volta_sgemm_128x64_nn", at + 100, 1000.0, tid=2, cat="kernel") for at in starts.values()
    ]
    profile = imported("trace", trace(tmp_path, events), "--warm-up", "0")
    assert [point.step_time_s for point in profile.points] == [pytest.approx(2e-3)]


BAD = [
    ([complete("a", 0, 1)], "no step markers"),
    (
        [complete("a", 0, 1, args={"step_num": 0}), complete("b", 1, 1, args={"step_num": 0})],
        "of 2 names: a, b",
    ),
    ([complete("a", 0, 1, args={"step_num": 0})], "1 step markers"),
    ([complete("a", 0, -1), complete("a", "x", 1), 3], "traceEvents.1.ts: 'x' -> expected a number [us]"),
    ([complete("a", 0, -1), complete("a", "x", 1), 3], "traceEvents.0.dur: -1"),
    ([complete("a", 0, -1), complete("a", "x", 1), 3], "traceEvents.2: int -> expected an object"),
    ([], "no events of phase X"),
    ({"a": 1}, "no list of events"),
]


@pytest.mark.parametrize(("events", "said"), BAD)
def test_bad_traces(events: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused("trace", trace(tmp_path, events), capsys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "JSON"),
        (b'{"traceEvents": [', "is the file cut off?"),
        (b"[" * 200_000, "nesting"),
        (b'{"traceEvents": [NaN]}', "finite"),
        (gzip.compress(b"[]" * 1000, mtime=0)[:-9], "ends in the middle"),
    ],
)
def test_files_that_are_no_trace(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    assert said in refused("trace", path, capsys)


def test_a_step_name_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused("trace", trace(tmp_path, JAX), capsys, "--step-name", "nothing")
    assert "the commonest events are train_step, dot.1" in said


def test_events_as_the_protobuf_package_writes_them() -> None:
    """The fields of event.proto and summary.proto, encoded by somebody else."""
    descriptors = pytest.importorskip("google.protobuf.descriptor_pb2")
    pool = pytest.importorskip("google.protobuf.descriptor_pool").DescriptorPool()
    factory = pytest.importorskip("google.protobuf.message_factory")
    kinds = descriptors.FieldDescriptorProto
    file = descriptors.FileDescriptorProto(name="event.proto", syntax="proto3")
    layout = {
        "Value": [("tag", 1, kinds.TYPE_STRING, ""), ("simple_value", 2, kinds.TYPE_FLOAT, "")],
        "Summary": [("value", 1, kinds.TYPE_MESSAGE, "Value")],
        "Event": [
            ("wall_time", 1, kinds.TYPE_DOUBLE, ""),
            ("step", 2, kinds.TYPE_INT64, ""),
            ("summary", 5, kinds.TYPE_MESSAGE, "Summary"),
        ],
    }
    for name, members in layout.items():
        message = file.message_type.add(name=name)
        for member, number, kind, of in members:
            label = kinds.LABEL_REPEATED if member == "value" else kinds.LABEL_OPTIONAL
            message.field.add(name=member, number=number, type=kind, label=label)
            if of:
                message.field[-1].type_name = f".{of}"
    pool.Add(file)
    made = factory.GetMessageClass(pool.FindMessageTypeByName("Event"))(wall_time=1.5e9, step=123_456_789_012)
    made.summary.value.add(tag="loss", simple_value=0.25)
    made.summary.value.add(tag="step time", simple_value=-2.0)
    found = list(scalars(record(made.SerializeToString()), Path("log")))
    assert found == [
        Scalar("loss", 123_456_789_012, 1.5e9, 0.25),
        Scalar("step time", 123_456_789_012, 1.5e9, -2.0),
    ]


@pytest.mark.slow
def test_a_trace_that_jax_writes_now(eight_devices: int, tmp_path: Path) -> None:
    import time

    import jax
    import jax.numpy as jnp

    step = jax.jit(lambda x: jnp.tanh(x @ x).sum())
    x = jnp.ones((256, 256))
    step(x).block_until_ready()
    begun_s = time.perf_counter()
    with jax.profiler.trace(str(tmp_path / "jax")):
        for k in range(12):
            with jax.profiler.StepTraceAnnotation("train", step_num=k):
                step(x).block_until_ready()
    took_s = time.perf_counter() - begun_s
    (path,) = (tmp_path / "jax").rglob("*.trace.json.gz")
    out = tmp_path / "out"
    assert main(["import", "trace", str(path), "--model", "net", "--out", str(out), *RUN]) == 0
    profile = load_profile(out / "net.json")[0]
    assert profile.points[0].steps == 10
    assert 0 < 10 * profile.points[0].step_time_s < took_s
    assert any(note.startswith("devices: busy ") for note in profile.provenance.warnings)
