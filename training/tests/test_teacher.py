"""A run with a teacher: which comes first, on the same clips, and goes on where it stopped."""

import json
from pathlib import Path

import pytest
import torch

from earshot_training.cli import main
from earshot_training.model.artefact import load_artefact
from tests.made_clips import TINY_CONFIG, write_corpus

TEACHER = """
[teacher]
batch_size = 4

[teacher.network]
width = 4

[teacher.loop]
steps = 4
"""
CONFIG = TINY_CONFIG + TEACHER


def run(folder: Path, out: str, *options: str) -> int:
    command = ["finetune", str(folder / "taught.toml"), "--out", str(folder / out)]
    return main([*command, "--device", "cpu", *options])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "clips")
    (tmp_path / "taught.toml").write_text(CONFIG)
    return tmp_path


def test_a_run_stopped_in_its_teacher_goes_on_as_if_it_had_not_been(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert run(folder, "whole") == 0
    whole = load_artefact(folder / "whole" / "artefact")
    teacher = whole.training["teacher"]
    assert teacher["objective"] == "classification"
    assert teacher["steps"] == 4
    assert teacher["data"] == whole.training["data"]
    assert "teacher" not in {name.split(".")[0] for name in whole.model.state_dict()}

    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("earshot_training.commands.finetune.StopSignal", StopAfterTwo)
        assert run(folder, "parts") == 0
    assert "stopped in its teacher; go on with --resume" in capsys.readouterr().out
    assert not (folder / "parts" / "artefact").exists()
    assert len((folder / "parts" / "teacher" / "metrics.jsonl").read_text().splitlines()) == 2
    assert run(folder, "parts") == 2
    assert "expected a new folder or --resume" in capsys.readouterr().err
    assert run(folder, "parts", "--resume", "--max-steps", "2") == 0
    assert run(folder, "parts", "--resume") == 0
    parts = load_artefact(folder / "parts" / "artefact")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, parts.model.state_dict()[name]), name


class StopAfterTwo:
    """A stop signal that comes at the second time of asking."""

    def __init__(self) -> None:
        self._asked = 0

    def __enter__(self) -> "StopAfterTwo":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def is_set(self) -> bool:
        self._asked += 1
        return self._asked >= 2


def test_a_teacher_changes_what_is_learnt(folder: Path):
    assert run(folder, "taught") == 0
    (folder / "taught.toml").write_text(TINY_CONFIG)
    assert run(folder, "alone") == 0
    name = "encoder.layers.0.expand.weight"
    taught, alone = (
        load_artefact(folder / out / "artefact").model.state_dict()[name]
        for out in ("taught", "alone")
    )
    assert not torch.equal(taught, alone)


def test_no_teacher_learns_from_what_is_scored(folder: Path):
    config = CONFIG.replace("folds = [1]\n", "")
    (folder / "taught.toml").write_text(config)
    assert run(folder, "folds", "--cross-validate", "1", "2") == 0
    for fold, other in ((1, 2), (2, 1)):
        artefact = load_artefact(folder / "folds" / f"fold-{fold}" / "artefact")
        assert artefact.training["teacher"]["data"]["folds"] == [other]


def test_a_teacher_of_another_config_is_not_gone_on_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(folder, "run") == 0
    checkpoint = folder / "run" / "teacher" / "checkpoint.pt"
    assert json.loads((folder / "run" / "teacher" / "config.json").read_text())["seed"] == 3
    assert checkpoint.exists()
    (folder / "taught.toml").write_text(CONFIG.replace("width = 4", "width = 5"))
    assert run(folder, "run", "--resume") == 2
    assert "network.width = 4, got 5" in capsys.readouterr().err
