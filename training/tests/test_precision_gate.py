"""The gate of smaller precisions, on a small model trained on made clips."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earshot_training.cli import main
from earshot_training.data.manifest import clip_list_sha256, in_folds, read_manifest
from earshot_training.errors import UserError
from earshot_training.export import arithmetic
from earshot_training.export.precision_gate import (
    GateError,
    GateFigures,
    assert_passed,
    compare,
    score_graph,
)
from earshot_training.model.artefact import TrainedLabel, load_artefact
from earshot_training.train.scored_clips import ScoredClips, score_clips
from tests.made_clips import LEARNING_CONFIG, write_corpus

FIGURES = GateFigures(
    clips=400,
    clips_sha256="0" * 64,
    folds=(4,),
    top1_agreement=1.0,
    mean_absolute_score_difference=0.0,
    map_change=0.0,
    accuracy_change=0.0,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, and an artefact that tells their classes apart."""
    folder = tmp_path_factory.mktemp("gate")
    write_corpus(folder / "clips")
    (folder / "tiny.toml").write_text(LEARNING_CONFIG)
    given = ("finetune", folder / "tiny.toml", "--out", folder / "run", "--device", "cpu")
    assert main([*map(str, given)]) == 0
    return folder


def export(run: Path, out: Path, *options: object) -> int:
    identity = ("--license", "MIT", "--description", "A test.", "--overwrite")
    given = ("export", run / "run" / "artefact", "--out", out, *identity, *options)
    return main([*map(str, given)])


def gate_options(run: Path) -> tuple[object, ...]:
    return ("--gate-manifest", run / "clips" / "manifest.jsonl", "--gate-folds", 2)


def card_of(out: Path) -> dict:
    card: dict = json.loads((out / "model.json").read_text())
    return card


def test_precisions_that_pass_are_written_with_their_figures(run: Path, tmp_path: Path) -> None:
    assert export(run, tmp_path / "out", "--precisions", "int8,fp16", *gate_options(run)) == 0
    graphs = card_of(tmp_path / "out")["graphs"]["encoder"]
    assert list(graphs) == ["fp32", "int8", "fp16"]
    assert "gate" not in graphs["fp32"]
    clips = in_folds(read_manifest(run / "clips" / "manifest.jsonl"), [2])
    for name in ("int8", "fp16"):
        gate = graphs[name]["gate"]
        assert gate["passed"] is True
        assert gate["clips"] == len(clips) == 12
        assert gate["clips_sha256"] == clip_list_sha256(clips)
        assert gate["folds"] == [2]
        assert gate["top1_agreement"] == 1.0
        assert 0 < gate["mean_absolute_score_difference"] <= 0.005
        assert gate["map_change"] == gate["accuracy_change"] == 0
    smaller, larger = (
        graphs[name]["gate"]["mean_absolute_score_difference"] for name in ("fp16", "int8")
    )
    assert smaller < larger
    readme = (tmp_path / "out" / "README.md").read_text()
    assert re.search(r"\| int8 \| 12 \(folds 2\) \| 100\.00 % \| 0\.00\d+ \| .* passed \|", readme)
    assert "in a batch it moves a little" in readme


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave one step on either side of zero, where int8 has 63."""
    monkeypatch.setattr(arithmetic, "LARGEST_INT8_WEIGHT", 1)


def test_a_spoilt_int8_graph_is_refused_and_leaves_no_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch)
    assert export(run, tmp_path / "out", "--precisions", "int8", *gate_options(run)) == 2
    said = capfd.readouterr().err
    assert "Expected int8 to answer as fp32 on 12 clips, got " in said
    assert re.search(r"top1_agreement 0\.\d{4}, at least 0\.99", said)
    assert list(tmp_path.iterdir()) == []


def test_an_ungated_graph_that_misses_says_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    options = ("--precisions", "int8", "--ungated", *gate_options(run))
    assert export(run, tmp_path / "out", *options) == 0
    assert card_of(tmp_path / "out")["graphs"]["encoder"]["int8"]["gate"]["passed"] is False
    assert "**missed**" in (tmp_path / "out" / "README.md").read_text()


def test_without_clips_a_precision_is_refused_unless_told(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert export(run, tmp_path / "out", "--precisions", "int8,fp16") == 2
    assert (
        "Expected labelled clips to judge int8, fp16 by (--gate-manifest)" in capfd.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []
    assert export(run, tmp_path / "out", "--precisions", "int8", "--ungated") == 0
    assert "gate" not in card_of(tmp_path / "out")["graphs"]["encoder"]["int8"]
    assert (
        "| int8 | - | - | - | - | - | not judged |" in (tmp_path / "out" / "README.md").read_text()
    )


def test_folds_without_a_manifest_are_refused(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert export(run, tmp_path / "out", "--precisions", "int8", "--gate-folds", 2) == 2
    assert "Expected --gate-manifest with --gate-folds" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1_agreement": 0.9875}, "top1_agreement 0.9875, at least 0.99"),
        ({"mean_absolute_score_difference": 0.0051}, r"difference \+0.0051, at most 0.005"),
        ({"map_change": -0.0031}, "map_change -0.0031, at most 0.003"),
        ({"accuracy_change": -0.0052}, "accuracy_change -0.0052, at most 0.003"),
        ({"map_change": float("nan")}, r"map_change \+nan"),
    ],
)
def test_each_figure_has_its_limit(changes: dict[str, float], message: str) -> None:
    assert_passed("int8", FIGURES)
    missed = replace(FIGURES, **changes)
    assert missed.to_record()["passed"] is False
    with pytest.raises(GateError, match=message):
        assert_passed("int8", missed)


def made_scores(run: Path, logits: list[list[float]]) -> ScoredClips:
    """Scores of the first dogs and rain, over the labels Dog, Rain and one that is not trained."""
    clips = read_manifest(run / "clips" / "manifest.jsonl")
    chosen = [*clips[:2], *[clip for clip in clips if clip.class_name == "rain"][:2]]
    return ScoredClips(tuple(chosen), torch.tensor(logits))


LABELS = (
    TrainedLabel(mid="/m/0bt9lr", name="Dog", trained=True),
    TrainedLabel(mid="/m/05tny_", name="Bark"),
    TrainedLabel(mid="/m/06mb1", name="Rain", trained=True),
)


def test_figures_are_those_of_the_trained_labels(run: Path) -> None:
    before = made_scores(run, [[2, 9, 0], [2, 9, 0], [0, 9, 2], [0, 9, 2]])
    after = made_scores(run, [[2, -9, 0], [0, -9, 2], [0, -9, 2], [0, -9, 2]])
    figures = compare(before, after, LABELS, "sigmoid")
    assert figures.top1_agreement == 0.75
    assert figures.accuracy_change == -0.25
    moved = 1 / (1 + np.exp(-2.0)) - 0.5
    assert figures.mean_absolute_score_difference == pytest.approx(2 * moved / 8)
    # Dog: the second comes level with the rains, 1 -> (1 + 2/4) / 2. Rain: from 1 to 2/3.
    assert figures.map_change == pytest.approx((0.75 + 2 / 3) / 2 - 1)


def test_clips_of_no_trained_label_and_logits_that_are_no_numbers_are_refused(run: Path) -> None:
    scores = made_scores(run, [[0.0] * 3] * 4)
    untrained = tuple(replace(label, trained=False) for label in LABELS)
    with pytest.raises(UserError, match="expected clips of labels that the model was trained on"):
        compare(scores, scores, untrained, "sigmoid")
    spoilt = made_scores(run, [[0.0, 0.0, float("inf")]] * 4)
    with pytest.raises(GateError, match="Expected finite logits"):
        compare(scores, spoilt, LABELS, "sigmoid")


def test_a_graphs_scores_are_those_of_the_model(run: Path, tmp_path: Path) -> None:
    assert export(run, tmp_path / "out") == 0
    clips = read_manifest(run / "clips" / "manifest.jsonl")[:3]
    scored = score_graph(tmp_path / "out" / "encoder.fp32.onnx", clips)
    expected = score_clips(
        load_artefact(run / "run" / "artefact").model, clips, device=torch.device("cpu")
    )
    assert scored.clips == expected.clips
    torch.testing.assert_close(scored.logits, expected.logits, atol=1e-4, rtol=0)
