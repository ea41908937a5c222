"""The commands as a user runs them: two steps on generated clips, and every kind of refusal."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from earshot_training.audio.waveform import read_waveform
from earshot_training.cli import main
from earshot_training.model.artefact import load_artefact
from tests.made_clips import BARK, DOG, RAIN, TINY_CONFIG, write_corpus

ONE_CPU = ("--device", "cpu", "--threads", "1")
TRAIN = [sys.executable, "-m", "earshot_training", "finetune", "tiny.toml", *ONE_CPU]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `clips/manifest.jsonl` and `tiny.toml`, as the current one."""
    write_corpus(tmp_path / "clips")
    (tmp_path / "tiny.toml").write_text(TINY_CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*options: str, out: str = "runs/a") -> int:
    return main(["finetune", "tiny.toml", "--out", out, *ONE_CPU, *options])


def records_of(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    clock = {"clips_per_second"}
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]


def test_train_evaluate_and_export(workplace: Path, capsys: pytest.CaptureFixture[str]):
    assert train("--max-steps", "2") == 0
    assert "stopped; go on with --resume" in capsys.readouterr().out
    artefact = "runs/a/artefact"
    assert main(["evaluate", artefact, "--manifest", "clips/manifest.jsonl", "--folds", "2",
                 "--out", "scores.json"]) == 0  # fmt: skip
    assert "12 clips, 4 labels scored" in capsys.readouterr().out
    assert main(["export", artefact, "--out", "models/tiny", "--license", "CC0-1.0",
                 "--description", "A test."]) == 0  # fmt: skip

    card = json.loads((workplace / "models" / "tiny" / "model.json").read_text())
    assert card["name"] == "tiny"
    scores = json.loads((workplace / "scores.json").read_text())
    assert {name: scores[name] for name in card["evaluation"]} == card["evaluation"]
    assert card["evaluation"]["data"]["folds"] == [2]
    assert card["evaluation"]["data"]["overlaps_training"] is False
    assert card["evaluation"]["accuracy"]["clips"] == 12
    assert card["training"]["steps"] == 2
    assert card["training"]["finished"] is False
    assert card["training"]["cpu_seconds"] > 0
    assert card["training"]["data"]["folds"] == [1]
    trained = {label["mid"]: label for label in card["labels"] if label["trained"]}
    assert set(trained) == {DOG, BARK, RAIN, "/m/03kmc9"}
    assert trained[DOG]["positives"] == 4
    assert 0 < trained[DOG]["average_precision"] <= 1
    assert trained[DOG]["threshold"] is None  # 4 positives in fold 2 are too few

    clip = read_waveform(workplace / "clips" / "audio" / "dog-1.flac")
    session = onnxruntime.InferenceSession(workplace / "models" / "tiny" / "encoder.fp32.onnx")
    feeds = {"waveform": clip[None], "num_samples": np.array([len(clip)])}
    (logits,) = session.run(["clip_logits"], feeds)
    model = load_artefact(workplace / artefact).model
    expected = model(torch.from_numpy(clip[None]), torch.tensor([len(clip)])).clip_logits
    np.testing.assert_allclose(logits, expected.detach().numpy(), atol=1e-4)


def test_a_resumed_run_equals_an_uninterrupted_one(workplace: Path):
    assert train(out="runs/whole") == 0
    assert train("--max-steps", "3", out="runs/parts") == 0
    subprocess.run([*TRAIN, "--out", "runs/parts", "--resume"], check=True, cwd=workplace)
    whole, parts = workplace / "runs" / "whole", workplace / "runs" / "parts"
    assert records_of(whole) == records_of(parts)
    weights = load_file(whole / "artefact" / "weights.safetensors")
    resumed = load_file(parts / "artefact" / "weights.safetensors")
    assert weights.keys() == resumed.keys()
    for name, value in weights.items():
        assert torch.equal(value, resumed[name]), name


def test_a_signal_stops_after_the_step_and_leaves_a_checkpoint(workplace: Path):
    config = TINY_CONFIG.replace("steps = 6", "steps = 100000")
    (workplace / "tiny.toml").write_text(config)
    process = subprocess.Popen(
        [*TRAIN, "--out", "run"], cwd=workplace, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait() == 0
    assert "stopped; go on with --resume" in rest
    done = len(records_of(workplace / "run"))
    state = torch.load(workplace / "run" / "checkpoint.pt", weights_only=True)
    assert state["progress"]["step"] == done


def test_another_run_starts_from_an_artefact(workplace: Path):
    assert train("--max-steps", "2") == 0
    assert train("--init", "runs/a/artefact", "--max-steps", "1", out="runs/b") == 0
    first = load_file(workplace / "runs" / "a" / "artefact" / "weights.safetensors")
    second = load_file(workplace / "runs" / "b" / "artefact" / "weights.safetensors")
    name = "encoder.layers.0.expand.weight"
    fresh = torch.std(first[name] - second[name])
    assert 0 < fresh < 1e-3
    record = json.loads((workplace / "runs" / "b" / "config.json").read_text())
    assert record["init"] == "runs/a/artefact"
    first, second = (load_artefact(Path("runs", run, "artefact")).training for run in "ab")
    assert second["started_from"] == first


@pytest.mark.usefixtures("workplace")
def test_evaluating_on_trained_folds_says_so(capsys: pytest.CaptureFixture[str]):
    assert train("--max-steps", "1") == 0
    assert main(["evaluate", "runs/a/artefact", "--manifest", "clips/manifest.jsonl"]) == 0
    assert "warning: clips of these folds were trained on" in capsys.readouterr().out


def test_data_check_names_every_broken_file(workplace: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "check", "clips/manifest.jsonl"]) == 0
    assert "24 of 24 clips can be read" in capsys.readouterr().out
    audio = workplace / "clips" / "audio"
    (audio / "dog-0.flac").write_bytes(b"nothing")
    whole = (audio / "rain-3.flac").read_bytes()
    (audio / "rain-3.flac").write_bytes(whole[: len(whole) // 2])
    (audio / "siren-1.flac").unlink()
    assert main(["data", "check", "clips/manifest.jsonl"]) == 1
    out = capsys.readouterr().out
    broken = [line for line in out.splitlines() if line.startswith("broken: ")]
    assert [name for name in ("dog-0", "rain-3", "siren-1") if name in "".join(broken)] == [
        "dog-0",
        "rain-3",
        "siren-1",
    ]
    assert "21 of 24 clips can be read" in out
    assert "     8  Bark" in out


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "absent.toml", "--out", "r"], "absent.toml: expected a TOML config"),
        (["finetune", "tiny.toml", "--out", "r", "--resume"], "expected a checkpoint to resume"),
        (["finetune", "tiny.toml", "--out", "r", "--max-steps", "0"], "--max-steps above 0, got 0"),
        (["finetune", "tiny.toml", "--out", "r", "--threads", "0"], "--threads of at least 1"),
        (["finetune", "tiny.toml", "--out", "r", "--manifest", "no.jsonl"], "expected a manifest"),
        (["evaluate", "absent", "--manifest", "clips/manifest.jsonl"], "absent"),
        (["export", "absent", "--out", "m", "--license", "x", "--description", "y"], "absent"),
        (["finetune", "tiny.toml", "--out", "tiny.toml/run", *ONE_CPU], "Not a directory"),
        (["data", "esc50", "clips", "--out", "m.jsonl"], "expected ESC-50"),
        (["data", "check", "tiny.toml"], "tiny.toml:2: expected a JSON object"),
    ],
)
def test_a_users_error_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert error.startswith("earshot-train: ")


def test_an_unknown_key_of_a_config_is_named(workplace: Path, capsys: pytest.CaptureFixture[str]):
    (workplace / "tiny.toml").write_text(TINY_CONFIG.replace("[loop]", "[loop]\nstep = 3"))
    assert train() == 2
    assert "tiny.toml: loop.step: unknown key; expected one of steps" in capsys.readouterr().err


def test_a_run_is_not_overwritten_and_not_resumed_with_another_config(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert train("--max-steps", "1") == 0
    assert train() == 2
    assert "expected a new folder or --resume" in capsys.readouterr().err
    (workplace / "tiny.toml").write_text(TINY_CONFIG.replace("seed = 3", "seed = 4"))
    assert train("--resume") == 2
    assert "expected to resume with seed = 3, got 4" in capsys.readouterr().err


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ending:
        main(["--help"])
    assert ending.value.code == 0
    listed = capsys.readouterr().out
    for command in ("data", "finetune", "evaluate", "export"):
        assert f"    {command} " in listed
    with pytest.raises(SystemExit) as ending:
        main([])
    assert ending.value.code == 2
