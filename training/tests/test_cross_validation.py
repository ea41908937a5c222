"""Cross-validation: every fold scored by a tagger that never heard it, stopped and resumed."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from earshot_training.cli import main
from earshot_training.data.manifest import (
    clip_list_sha256,
    in_folds,
    read_manifest,
    write_manifest,
)
from earshot_training.model.artefact import load_artefact
from earshot_training.train.cross_validation_summary import evaluate_by_cross_validation
from tests.made_clips import TINY_CONFIG, write_corpus

STEPS = 3
CONFIG = TINY_CONFIG.replace("folds = [1]\n", "").replace("steps = 6", f"steps = {STEPS}")


def run(folder: Path, out: str, *options: str) -> int:
    command = ["finetune", str(folder / "folds.toml"), "--out", str(folder / out)]
    return main([*command, "--cross-validate", "1", "2", "--device", "cpu", *options])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "clips")
    (tmp_path / "folds.toml").write_text(CONFIG)
    return tmp_path


def test_folds_take_turns_and_a_stopped_run_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(folder, "whole") == 0
    assert "all folds finished" in capsys.readouterr().out
    clips = read_manifest(folder / "clips" / "manifest.jsonl")
    summary = json.loads((folder / "whole" / "cross_validation.json").read_text())
    for fold, other, row in zip((1, 2), (2, 1), summary["folds"], strict=True):
        artefact = load_artefact(folder / "whole" / f"fold-{fold}" / "artefact")
        assert artefact.training["data"]["folds"] == [other]
        assert artefact.training["steps"] == STEPS
        assert artefact.evaluation["data"]["folds"] == [fold]
        assert artefact.evaluation["data"]["overlaps_training"] is False
        assert row["clips_sha256"] == clip_list_sha256(in_folds(clips, [fold]))
        assert row["accuracy"] == artefact.evaluation["accuracy"]["value"]
    for name in ("accuracy", "mean_average_precision"):
        values = [row[name] for row in summary["folds"]]
        assert summary["over_folds"][name]["mean"] == pytest.approx(sum(values) / 2)
        deviation = summary["over_folds"][name]["standard_deviation"]
        assert deviation == pytest.approx(statistics.stdev(values))

    assert run(folder, "parts", "--max-steps", "2") == 0
    assert "stopped" in capsys.readouterr().out
    assert not (folder / "parts" / "fold-2").exists()
    assert run(folder, "parts") == 2
    assert "expected a new folder or --resume" in capsys.readouterr().err
    assert run(folder, "parts", "--resume") == 0
    assert json.loads((folder / "parts" / "cross_validation.json").read_text()) == summary

    (folder / "folds.toml").write_text(CONFIG.replace("seed = 3", "seed = 4"))
    assert run(folder, "parts", "--resume") == 2
    assert "expected to resume with seed = 3, got 4" in capsys.readouterr().err


def test_folds_that_cannot_take_turns_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(folder, "run", "--cross-validate", "1") == 2
    assert "expected at least two different folds, got [1]" in capsys.readouterr().err


def test_a_start_that_was_told_what_is_scored_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    (folder / "start.toml").write_text(CONFIG.replace("[data]", "[data]\nfolds = [1]"))
    start = str(folder / "start")
    command = ["finetune", str(folder / "start.toml"), "--out", start, "--device", "cpu"]
    assert main(command) == 0
    assert run(folder, "run", "--init", f"{start}/artefact") == 2
    expected = f"{start}/artefact: expected a start that has not learnt the labels of fold 1"
    assert expected in capsys.readouterr().err
    assert not (folder / "run").exists()


def test_a_config_that_names_all_folds_is_that_of_each_turn_too(folder: Path):
    assert run(folder, "turns") == 0
    (folder / "folds.toml").write_text(CONFIG.replace("[data]", "[data]\nfolds = [2, 1]"))
    # The same runs, so there is nothing left to do.
    assert run(folder, "turns", "--resume") == 0
    assert run(folder, "named") == 0
    summary = (folder / "turns" / "cross_validation.json").read_text()
    assert (folder / "named" / "cross_validation.json").read_text() == summary


def test_folds_beside_those_that_take_turns_teach_but_not_by_recordings_that_are_scored(
    folder: Path,
):
    manifest = folder / "clips" / "manifest.jsonl"
    clips = read_manifest(manifest)
    # The last six clips come from elsewhere; two of them are of recordings in folds 1 and 2.
    shared = {18: clips[0].recording, 19: clips[1].recording}
    others = [
        replace(clip, fold=0, source="street", recording=shared.get(18 + i, clip.recording))
        for i, clip in enumerate(clips[18:])
    ]
    write_manifest(manifest, [*clips[:18], *others])
    (folder / "folds.toml").write_text(CONFIG.replace("[data]", "[data]\nfolds = [0]"))
    assert run(folder, "beside") == 0
    for fold, other, left_out in ((1, 2, 0), (2, 1, 1)):
        data = load_artefact(folder / "beside" / f"fold-{fold}" / "artefact").training["data"]
        assert data["folds"] == [0, other]
        taught = in_folds(clips[:18], [other]) + tuple(
            clip for i, clip in enumerate(others) if i != left_out
        )
        assert data["clips_sha256"] == clip_list_sha256(taught)


def test_encoders_of_the_taggers_are_probed_on_the_fold_they_have_not_heard(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(folder, "run") == 0
    out, manifest = folder / "run", str(folder / "clips" / "manifest.jsonl")
    probe = ["probe", "--manifest", manifest, "--device", "cpu"]
    assert main([*probe, "--cross-validation", str(out)]) == 0
    scores = json.loads((out / "probe_of_taggers.json").read_text())
    for row in scores["folds"]:
        artefact, alone = str(out / f"fold-{row['fold']}" / "artefact"), folder / "alone.json"
        assert main([*probe, artefact, "--folds", str(row["fold"]), "--out", str(alone)]) == 0
        expected = json.loads(alone.read_text())
        assert {key: expected[key] for key in row if key != "fold"} == {
            key: value for key, value in row.items() if key != "fold"
        }
    clips = [row["scored_clips"] for row in scores["folds"]]
    assert scores["all"]["scored_clips"] == sum(clips)
    assert scores["all"]["knn_accuracy"] == pytest.approx(
        sum(n * row["knn_accuracy"] for n, row in zip(clips, scores["folds"], strict=True))
        / sum(clips)
    )
    artefact = load_artefact(out / "fold-1" / "artefact")
    assert (
        evaluate_by_cross_validation(artefact, out).artefact.evaluation["cross_validation"]["probe"]
        == scores
    )
    capsys.readouterr()
    assert main([*probe, "--cross-validation", str(out), "--folds", "1"]) == 2
    assert "expected none beside --cross-validation" in capsys.readouterr().err
