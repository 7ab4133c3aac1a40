"""`python -m trainers large` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcsim.workload.profile_store import load_profile
from trainers.__main__ import main

SMALL = ["large", "gpt2", "--devices", "8", "--global-batch", "32"]


def test_without_a_model_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["large"]) == 0
    text = capsys.readouterr().out
    assert "gpt3-175b" in text
    assert "arXiv:2407.21783" in text


def test_it_predicts_and_writes_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.json"
    assert main([*SMALL, "--tensor", "2", "--pipeline", "2", "--name", "small", "--out", str(path)]) == 0
    text = capsys.readouterr().out
    assert "parallelism: {tensor: 2, pipeline: 2, micro_batches: 16}" in text
    assert "batch_per_accelerator: 4096" in text
    profile, _ = load_profile(path)
    assert (profile.name, profile.origin, profile.fit.batch_per_device_max) == ("small", "predicted", 4096)
    assert str(tmp_path) not in profile.provenance.command


def test_it_ranks_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--best", "2"]) == 0
    assert "layouts fit 8 x A100-80" in capsys.readouterr().out


def test_an_architecture_of_your_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.json"
    fields = {"name": "own", "layers": 2, "hidden": 64, "heads": 2, "sequence": 128, "vocabulary": 512}
    path.write_text(json.dumps(fields))
    assert main(["large", "--architecture", str(path), "--layers", "4"]) == 0
    assert "own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["large", "gpt3-175"], "gpt3-175b"),
        (["large", "gpt3-175b"], "GB a device -> expected at most 80.0 GB"),
        ([*SMALL, "--tensor", "5"], "devices: 8 -> expected a multiple of tensor x pipeline = 5"),
        ([*SMALL, "--device", "A100"], "A100-40"),
        ([*SMALL, "--network", "0"], "network: 0 -> expected GB/s above 0"),
        ([*SMALL, "--network", "inf", "--latency", "nan"], "latency: nan -> expected us, at least 0"),
        ([*SMALL, "--tokens", "-1"], "tokens: -1 -> expected 0 to 1e18"),
        ([*SMALL, "--overlap", "nan"], "overlap: nan -> expected 0 to 1"),
        (
            [*SMALL, "--device", "K80", "--precision", "fp16"],
            "precision: fp16 on K80 -> expected one of fp64, fp32",
        ),
        ([*SMALL, "--devices", "100000000"], "devices: 100000000 -> expected an integer from 1 to 1,000,000"),
        (
            [*SMALL, "--hidden", "1000000000000"],
            "hidden: 1000000000000 -> expected an integer <= 100,000,000",
        ),
        (["large", "gpt3-175b", "--devices", "8", "--best"], "a layout that divides the model and fits"),
    ],
)
def test_wrong_input_is_refused_with_the_reason(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
