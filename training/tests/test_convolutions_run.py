"""A run with convolutions: they come first, on the same clips, and go on where they stopped."""

import json
from pathlib import Path

import pytest
import torch

from earshot_training.cli import main
from earshot_training.data.manifest import in_folds, read_manifest
from earshot_training.model.artefact import load_artefact
from earshot_training.train.scored_clips import score_clips
from tests.made_clips import TINY_CONFIG, write_corpus

CONFIG = (
    TINY_CONFIG.replace("patch_dim = 16", "patch_dim = 16\nconvolution_width = 4")
    + """
[convolutions]
batch_size = 4

[convolutions.loop]
steps = 4

[convolutions.augment]
frames = 32
"""
)
ALONE = TINY_CONFIG


def run(folder: Path, out: str, *options: str) -> int:
    command = ["finetune", str(folder / "joined.toml"), "--out", str(folder / out)]
    return main([*command, "--device", "cpu", *options])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "clips")
    (tmp_path / "joined.toml").write_text(CONFIG)
    return tmp_path


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


def test_a_run_stopped_in_its_convolutions_goes_on_as_if_it_had_not_been(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert run(folder, "whole") == 0
    whole = load_artefact(folder / "whole" / "artefact")
    record = whole.training["convolutions"]
    assert (record["objective"], record["steps"]) == ("convolutions", 4)
    assert record["data"] == whole.training["data"]

    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("earshot_training.commands.finetune.StopSignal", StopAfterTwo)
        assert run(folder, "parts") == 0
    assert "stopped while the convolutions learn; go on with --resume" in capsys.readouterr().out
    assert not (folder / "parts" / "artefact").exists()
    lines = (folder / "parts" / "convolutions" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert run(folder, "parts") == 2
    assert "expected a new folder or --resume" in capsys.readouterr().err
    assert run(folder, "parts", "--resume", "--max-steps", "2") == 0
    assert run(folder, "parts", "--resume") == 0
    parts = load_artefact(folder / "parts" / "artefact")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, parts.model.state_dict()[name]), name


def test_no_convolutions_learn_from_what_is_scored(folder: Path):
    (folder / "joined.toml").write_text(CONFIG.replace("folds = [1]\n", ""))
    assert run(folder, "folds", "--cross-validate", "1", "2") == 0
    for fold, other in ((1, 2), (2, 1)):
        artefact = load_artefact(folder / "folds" / f"fold-{fold}" / "artefact")
        assert artefact.training["convolutions"]["data"]["folds"] == [other]


def test_joined_logits_are_a_mean_of_both_networks(folder: Path):
    """With 0 steps, a start's logits and the convolutions' are averaged."""
    (folder / "joined.toml").write_text(ALONE)
    assert run(folder, "alone") == 0
    assert "[loop]\nsteps = 6\n" in CONFIG
    scores = {}
    clips = in_folds(read_manifest(folder / "clips" / "manifest.jsonl"), [1])
    for share in (0.0, 0.25, 0.5):
        shared = CONFIG.replace("[convolutions]", f"[convolutions]\nencoder_share = {share}")
        joined = shared.replace("[loop]\nsteps = 6\n", "[loop]\nsteps = 0\n")
        (folder / "joined.toml").write_text(joined)
        out = f"share-{share}"
        assert run(folder, out, "--init", str(folder / "alone" / "artefact")) == 0
        model = load_artefact(folder / out / "artefact").model
        scores[share] = score_clips(model, clips, device=torch.device("cpu")).logits
    alone = load_artefact(folder / "alone" / "artefact").model
    of_start = score_clips(alone, clips, device=torch.device("cpu")).logits
    for share in (0.25, 0.5):
        expected = share * of_start + (1 - share) * scores[0.0]
        torch.testing.assert_close(scores[share], expected, rtol=1e-4, atol=1e-4)


def test_folds_start_from_their_own_taggers_of_another_cross_validation(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    (folder / "joined.toml").write_text(ALONE.replace("folds = [1]\n", ""))
    folds = ["--cross-validate", "1", "2"]
    assert run(folder, "before", *folds) == 0
    (folder / "joined.toml").write_text(CONFIG.replace("folds = [1]\n", ""))
    assert run(folder, "after", *folds, "--init", str(folder / "before")) == 0
    for fold in (1, 2):
        artefact = load_artefact(folder / "after" / f"fold-{fold}" / "artefact")
        before = load_artefact(folder / "before" / f"fold-{fold}" / "artefact")
        assert artefact.training["started_from"] == before.training
        assert before.training["data"]["folds"] == [3 - fold]
    capsys.readouterr()
    wrong = str(folder / "before" / "fold-1" / "artefact")
    assert run(folder, "wrong", *folds, "--init", wrong) == 2
    assert "not learnt the labels of fold 2" in capsys.readouterr().err


def test_convolutions_of_another_config_are_not_gone_on_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(folder, "run") == 0
    assert json.loads((folder / "run" / "convolutions" / "config.json").read_text())["width"] == 4
    (folder / "joined.toml").write_text(CONFIG.replace("frames = 32", "frames = 48"))
    assert run(folder, "run", "--resume") == 2
    assert "augment.frames = 32, got 48" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (CONFIG.replace("convolution_width = 4", ""), "convolution_width above 0, got 0"),
        (
            CONFIG.replace("seed = 3", "seed = 3\nfitted_head_l2 = 1.0"),
            "fitted_head_l2: expected 0",
        ),
        (CONFIG.replace("[convolutions]", "[convolutions]\nencoder_share = 1.0"), "encoder_share"),
    ],
)
def test_what_does_not_go_together_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], config: str, named: str
):
    (folder / "joined.toml").write_text(config)
    assert run(folder, "run") == 2
    assert named in capsys.readouterr().err
