"""Calibration fits what it may, says what it must, and never leaves half a profile."""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dcsim.workload.profile_store import builtin_profiles, load_profile
from trainers import calibrate as calibrate_module
from trainers.__main__ import main
from trainers.calibrate import CalibrationError, Settings, calibrate, run_worker
from trainers.devices import available_cores
from trainers.fit import Coefficients
from trainers.partial import Partial
from trainers.show import describe
from trainers.validate import holdout, unseen_configurations
from trainers.worker import WorkerJob, WorkerReport

pytest.importorskip("jax", reason="needs the extra train")

LAW = Coefficients(1e-3, 1e-5, 2e-3)
SETTINGS = Settings("digits_mlp", devices=(1, 2), batches=(32, 64, 96, 128))


def report_of(job: WorkerJob, *, cores: int, spread: float = 0.01, taken: float = 0.0) -> WorkerReport:
    """Return what a worker would find if steps took what LAW says, and pmap a tenth longer."""

    def point(batch: int, mode: str) -> dict[str, object]:
        step_s = LAW.predict_s(job.devices, batch) * (1.1 if mode == "pmap" else 1.0)
        return {
            "devices": job.devices, "batch_per_device": batch, "mode": mode, "steps": 20, "step_time_s": step_s,
            "step_time_low_s": step_s * 0.9, "step_time_high_s": step_s * 1.2, "cpu_time_per_step_s": step_s,
            "split_half_spread": spread, "compile_time_s": 0.5, "flops_per_device": 1000.0 * batch,
            "bytes_accessed_per_device": 400.0 * batch, "temporary_bytes": 10.0, "argument_bytes": 20.0,
        }  # fmt: skip

    points = [point(batch, mode) for batch, mode in job.configurations]
    return WorkerReport(
        devices=job.devices, cores=min(cores, job.devices), taken_share=taken, points=points,
        memory_bytes=[30.0 + batch for batch, _ in job.configurations],
        energy_per_step_j=[None] * len(points), energy_method="not measured: no counter",
        all_reduce_bytes=404.0, all_reduce_count=1, parameters=100, checkpoint_bytes=1200,
        sample_bytes=785, dataset_bytes=3_925_000, dataset="digits", import_time_s=1.0,
    )  # fmt: skip


@pytest.fixture
def lawful(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Replace workers by ones that obey LAW; returns the device counts asked for, in order."""

    def install(**options: Any) -> list[int]:
        asked: list[int] = []

        def worker(job: WorkerJob, _: Any) -> WorkerReport:
            asked.append(job.devices)
            return report_of(job, **{"cores": 2, **options})

        monkeypatch.setattr(calibrate_module, "run_worker", worker)
        monkeypatch.setattr(calibrate_module, "available_cores", lambda: options.get("cores", 2))
        return asked

    return install


def quiet(_: str) -> None:
    """Progress for nobody."""


def test_the_law_is_found_and_held_out_points_agree(lawful: Any, tmp_path: Path) -> None:
    lawful()
    profile = calibrate(SETTINGS, tmp_path, quiet)
    fit = profile.fit
    assert (fit.overhead_s, fit.per_sample_s, fit.per_device_s) == pytest.approx(LAW, rel=1e-9)
    assert (fit.mode, fit.devices_min, fit.devices_max) == ("jit", 1, 2)
    assert (fit.batch_per_device_min, fit.batch_per_device_max) == (32, 128)
    assert fit.held_out_error_relative == pytest.approx(0, abs=1e-9)
    assert len(profile.held_out) == 2
    assert profile.flops_per_sample == 1000
    assert profile.memory_bytes_per_device == 158
    assert len(profile.points) == 16
    assert load_profile(tmp_path / "digits_mlp.json")[0] == profile
    assert [path.name for path in tmp_path.iterdir()] == ["digits_mlp.json"]


def test_pmap_alone_is_fitted_as_pmap(lawful: Any, tmp_path: Path) -> None:
    lawful()
    profile = calibrate(replace(SETTINGS, modes=("pmap",)), tmp_path, quiet)
    assert profile.fit.mode == "pmap"
    assert profile.fit.overhead_s == pytest.approx(1.1 * LAW.overhead_s)


def test_more_devices_than_cores_are_kept_but_not_fitted(lawful: Any, tmp_path: Path) -> None:
    lawful(cores=2)
    profile = calibrate(replace(SETTINGS, devices=(1, 2, 8)), tmp_path, quiet)
    assert {point.devices for point in profile.points} == {1, 2, 8}
    assert profile.fit.devices_max == 2
    assert "8 devices shared 2 cores: points not fitted" in profile.provenance.warnings


def test_only_more_devices_than_cores_are_refused(lawful: Any, tmp_path: Path) -> None:
    lawful(cores=1)
    with pytest.raises(CalibrationError, match="at most 1"):
        calibrate(replace(SETTINGS, devices=(2, 4)), tmp_path, quiet)


def test_noisy_points_are_refused_unless_forced_and_then_named(lawful: Any, tmp_path: Path) -> None:
    lawful(spread=0.4, taken=0.5)
    with pytest.raises(CalibrationError, match="noisy"):
        calibrate(SETTINGS, tmp_path, quiet)
    assert not (tmp_path / "digits_mlp.json").exists()
    profile = calibrate(SETTINGS, tmp_path, quiet, force=True)
    assert any("split-half spread 40%" in text for text in profile.provenance.warnings)
    assert any("other processes took 50%" in text for text in profile.provenance.warnings)


def test_an_interrupted_calibration_goes_on_and_keeps_the_old_profile(
    lawful: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lawful()
    old = calibrate(replace(SETTINGS, seed=9), tmp_path, quiet)
    finished: list[int] = []

    def interrupted(job: WorkerJob, _: Any) -> WorkerReport:
        if finished:
            raise KeyboardInterrupt
        finished.append(job.devices)
        return report_of(job, cores=2)

    monkeypatch.setattr(calibrate_module, "run_worker", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calibrate(SETTINGS, tmp_path, quiet)
    assert load_profile(tmp_path / "digits_mlp.json")[0] == old
    asked = lawful()
    new = calibrate(SETTINGS, tmp_path, quiet)
    assert asked == [devices for devices in (1, 2) if devices not in finished]
    assert {point.devices for point in new.points} == {1, 2}
    assert [path.name for path in tmp_path.iterdir()] == ["digits_mlp.json"]


@pytest.mark.parametrize(
    "spoil", [lambda _: "{half", lambda text: text.replace('"steps": 200', '"steps": 7')]
)
def test_unfinished_work_of_other_settings_is_not_used(lawful: Any, tmp_path: Path, spoil: Any) -> None:
    partial = tmp_path / ".digits_mlp.calibrating.json"
    store = Partial(partial, calibrate_module._fingerprint(SETTINGS))
    job = WorkerJob("digits_mlp", 1, SETTINGS.configurations(), 200, 1.0, 0.25, 0)
    store.save([report_of(job, cores=2)])
    assert [report.devices for report in store.load()] == [1]
    partial.write_text(spoil(partial.read_text()))
    asked = lawful()
    calibrate(SETTINGS, tmp_path, quiet)
    assert sorted(asked) == [1, 2]


def test_a_worker_that_fails_says_how() -> None:
    with pytest.raises(CalibrationError, match="expected one of linear"):
        run_worker(WorkerJob("no_such_model", 1, [(8, "jit")], 1, 1.0, 0.25, 0), quiet)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the linear model, really measured; returns its file."""
    folder = tmp_path_factory.mktemp("profiles")
    devices = tuple(count for count in (1, 2) if count <= available_cores())
    settings = Settings("linear", devices, batches=(10, 50, 100), steps=12, budget_s=0.1, quick=True)
    calibrate(settings, folder, quiet, force=True)
    return folder / "linear.json"


def test_a_real_measurement_is_whole_and_names_nobody(measured: Path) -> None:
    profile, _ = load_profile(measured)
    assert profile.parameters == 11
    assert profile.collectives.all_reduce_bytes == 4 * 11 + 4
    assert profile.checkpoint_bytes == 4 * 11 + 4  # and the number of updates
    assert profile.input_bytes_per_sample == 44
    assert all(point.steps >= 12 for point in profile.points)
    assert all(
        point.step_time_low_s <= point.step_time_s <= point.step_time_high_s for point in profile.points
    )
    assert all(point.compile_time_s > 0 and point.flops_per_device > 0 for point in profile.points)
    assert (profile.energy.energy_per_step_j is None) == profile.energy.method.startswith("not measured")
    assert profile.provenance.import_time_s > 0
    assert {"jax", "jaxlib", "flax", "optax", "numpy"} <= set(profile.provenance.packages)
    text = measured.read_text()
    assert str(Path.cwd()) not in text
    assert platform.node() not in text or len(platform.node()) < 4
    assert f"/{getpass.getuser()}" not in text


def test_a_description_names_the_main_figures(measured: Path) -> None:
    text = describe(load_profile(measured)[0])
    assert "48 B a step" in text
    assert "pmap" in text


@pytest.mark.parametrize("name", ["digits_mlp", "tiny_transformer"])
def test_kept_profiles_are_sound(name: str) -> None:
    profile, _ = load_profile(builtin_profiles()[name])
    assert profile.name == name
    assert profile.collectives.all_reduce_bytes == 4 * profile.parameters + 4
    # Adam keeps two moments beside each parameter, and a count of steps.
    assert profile.checkpoint_bytes == 3 * 4 * profile.parameters + 4
    assert {point.mode for point in profile.points} == {"pmap", "jit"}
    assert profile.fit.residual_relative < 0.15
    assert "/" not in json.dumps(profile.provenance.command)


def test_predictions_are_compared_with_what_is_measured_now(
    lawful: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lawful()
    profile = calibrate(SETTINGS, tmp_path, quiet)

    def slower(job: WorkerJob, _: Any) -> WorkerReport:
        report = report_of(job, cores=2)
        points = [{**point, "step_time_s": 1.1 * float(str(point["step_time_s"]))} for point in report.points]
        return replace(report, points=points)

    monkeypatch.setattr("trainers.validate.run_worker", slower)
    compared = holdout(profile, count=5, steps=10, budget_s=1.0, seed=0, progress=quiet)
    assert [each.error_relative for each in compared] == pytest.approx([1 / 1.1 - 1] * 5)
    assert {(each.devices, each.batch_per_device) for each in compared} == set(
        unseen_configurations(profile, 5, 0)
    )


@pytest.mark.parametrize(("limit", "code"), [("0.5", 0), ("0.01", 1)])
def test_validation_fails_above_its_limit(
    lawful: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, code: int
) -> None:
    lawful()
    calibrate(SETTINGS, tmp_path, quiet)

    def pmap_like(job: WorkerJob, _: Any) -> WorkerReport:
        configurations = [(batch, "pmap") for batch, _ in job.configurations]
        return report_of(replace(job, configurations=configurations), cores=2)

    monkeypatch.setattr("trainers.validate.run_worker", pmap_like)
    profile = str(tmp_path / "digits_mlp.json")
    assert main(["validate", "holdout", "--profile", profile, "--max-error", limit]) == code


def test_unseen_configurations_are_unseen_and_inside_the_range(measured: Path) -> None:
    profile, _ = load_profile(measured)
    seen = {(point.devices, point.batch_per_device) for point in profile.points}
    chosen = unseen_configurations(profile, 10, seed=0)
    assert len(set(chosen)) == 10
    assert not seen & set(chosen)
    assert all(10 <= batch <= 100 and devices <= profile.fit.devices_max for devices, batch in chosen)
    everything = unseen_configurations(profile, 10_000, seed=0)
    assert len(everything) == profile.fit.devices_max * (100 - 10 + 1) - len(seen)
