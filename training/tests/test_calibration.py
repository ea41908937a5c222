"""Calibration: errors by hand, parameters found again, and an artefact that says frequencies."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from earshot_training.audio.waveform import read_waveform
from earshot_training.cli import main
from earshot_training.data.manifest import Clip, clip_list_sha256, in_folds, read_manifest
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, TrainedLabel, load_artefact, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.train.calibration import (
    Calibration,
    calibrate_artefact,
    calibrate_judged,
    calibration_of,
    fit_calibration,
)
from earshot_training.train.calibration_metrics import (
    JudgedClips,
    calibration_metrics,
    chance_error,
    expected_error,
    join_judged,
    judge_clips,
    score_bins,
)
from earshot_training.train.cross_validation_summary import cross_fit, judged_fold
from earshot_training.train.evaluation import evaluate
from earshot_training.train.scored_clips import ScoredClips
from tests.made_clips import DOG, LEARNING_CONFIG, RAIN, SIREN, write_corpus

CPU = torch.device("cpu")
ANIMAL = "/m/0jbk"


def made(logits: torch.Tensor, is_true: torch.Tensor) -> JudgedClips:
    everything = torch.ones_like(is_true)
    return JudgedClips(logits, is_true, is_known=everything, is_trained=everything)


def drawn(*, scale: float, shift: float, seed: int = 0) -> JudgedClips:
    """20,000 pairs, two of each clip, that are true as often as `scale * logit + shift` says."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(10_000, 2, generator=generator, dtype=torch.float64) - 2
    chance = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    return made(logits, chance < torch.sigmoid(scale * logits + shift))


def test_the_error_by_hand():
    scores = np.array([0.01, 0.02, 0.5, 0.52, 1.0])
    is_true = np.array([False, True, True, True, False])
    bins = score_bins(scores, is_true)
    assert [score_bin[:3] for score_bin in bins] == [
        (2, pytest.approx(0.015), 0.5),
        (2, pytest.approx(0.51), 1.0),  # both in [7/15, 8/15)
        (1, 1.0, 0.0),
    ]
    assert expected_error(bins) == pytest.approx((2 * 0.485 + 2 * 0.49 + 1 * 1.0) / 5)


def test_scores_that_are_frequencies_have_the_error_of_chance():
    generator = np.random.default_rng(0)
    errors, chances = [], []
    for _ in range(200):
        scores = generator.random(400)
        bins = score_bins(scores, generator.random(400) < scores)
        errors.append(expected_error(bins))
        chances.append(chance_error(bins))
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.03)
    assert np.mean(chances) > 0.05


def test_what_is_unknown_does_not_count():
    labels = [
        TrainedLabel(mid=mid, name=mid, trained=mid != SIREN) for mid in (DOG, ANIMAL, RAIN, SIREN)
    ]
    dog, rain, nothing = (clip_of(DOG), clip_of(RAIN), clip_of())
    logits = torch.tensor([[1.0, 2.0, 0.0, 9.0], [-1.0, -2.0, 1.0, 9.0], [5.0, 5.0, 5.0, 5.0]])
    judged = judge_clips(ScoredClips((dog, rain, nothing), logits), labels)
    assert judged.is_known.tolist() == [[True, False, True, False], [True, True, True, False]]
    metrics = calibration_metrics(judged)
    assert metrics is not None
    assert metrics.pairs == 5
    # The dog's highest trained label is Animal, which may be true; the siren was not trained.
    assert metrics.top_tags == 1
    assert metrics.top_tag_error == pytest.approx(1 - float(torch.sigmoid(torch.tensor(1.0))))


def clip_of(*mids: str) -> Clip:
    return Clip(path=Path("a.wav"), mids=mids, class_name=None, fold=1, source="made",
                recording="1", seconds=1.0, license=None)  # fmt: skip


@pytest.mark.parametrize(("scale", "shift"), [(0.5, -1.0), (2.0, 1.5), (1.0, 0.0)])
def test_scale_and_shift_are_found_again(scale: float, shift: float):
    judged = drawn(scale=scale, shift=shift)
    fitted = fit_calibration(judged)
    assert fitted.scale == pytest.approx(scale, rel=0.05)
    assert fitted.shift == pytest.approx(shift, abs=0.06)
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    other.fit(judged.logits.reshape(-1, 1).numpy(), judged.is_true.flatten().numpy())
    assert fitted.scale == pytest.approx(float(other.coef_[0, 0]), abs=1e-2)
    assert fitted.shift == pytest.approx(float(other.intercept_[0]), abs=1e-2)


def test_pairs_without_a_known_truth_move_nothing():
    judged = drawn(scale=0.5, shift=0.3)
    hidden = judged.is_known.clone()
    hidden[::3] = False
    wrong = judged._replace(is_known=hidden, is_true=judged.is_true ^ ~hidden)
    kept = made(*(part[hidden[:, 0]] for part in judged[:2]))
    assert fit_calibration(wrong) == pytest.approx(fit_calibration(kept))


def test_labels_below_a_clips_first_two_move_nothing():
    judged = drawn(scale=0.5, shift=0.3)
    unknown = judged._replace(is_known=torch.zeros_like(judged.is_known))
    lower = judged._replace(
        logits=judged.logits.min(dim=1, keepdim=True).values - torch.tensor([1.0, 2.0]),
        is_true=~judged.is_true,
    )
    higher = unknown._replace(logits=judged.logits + 100)
    wider = JudgedClips(
        *(torch.cat(parts, dim=1) for parts in zip(lower, judged, higher, strict=True))
    )
    assert fit_calibration(wider) == pytest.approx(fit_calibration(judged))


def test_pairs_that_a_threshold_parts_still_have_an_optimum():
    logits = torch.tensor([[-2.0, 1.0], [-1.0, 2.0]], dtype=torch.float64)
    fitted = fit_calibration(made(logits, logits > 0))
    assert 0 < fitted.scale < 10
    assert abs(fitted.shift) < 1


def test_the_second_tag_weighs_a_tenth_of_the_first():
    """Where the fit lies, the weighted errors of both tags are even."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    is_true = torch.rand(logits.shape, generator=generator) < torch.sigmoid(logits)
    fitted = fit_calibration(made(logits, is_true))
    scores = torch.sigmoid(fitted.scale * logits + fitted.shift)
    trues, untrues = int(is_true.sum()), int((~is_true).sum())
    errors = scores - torch.where(is_true, (trues + 1) / (trues + 2), 1 / (untrues + 2))
    is_first = logits == logits.max(dim=1, keepdim=True).values
    weights = torch.where(is_first, 1.0, 0.1)
    assert float((weights * errors).sum()) == pytest.approx(0, abs=1e-6)
    assert float((weights * errors * logits).sum()) == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_fitted_is_refused():
    judged = drawn(scale=1.0, shift=0.0)
    with pytest.raises(UserError, match="got 0 true and 20000 untrue pairs"):
        fit_calibration(judged._replace(is_true=torch.zeros_like(judged.is_true)))
    with pytest.raises(UserError, match="expected scores that rise with the truth"):
        fit_calibration(judged._replace(logits=-judged.logits))


def test_no_fold_calibrates_itself():
    parts = [drawn(scale=scale, shift=0.0, seed=seed) for seed, scale in enumerate((0.5, 1.0, 2.0))]
    for index, fitted in enumerate(cross_fit(parts)):
        others = [part for place, part in enumerate(parts) if place != index]
        logits, is_true = (torch.cat([part[field] for part in others]) for field in (0, 1))
        assert fitted.calibration == pytest.approx(fit_calibration(made(logits, is_true)))
        assert torch.equal(
            fitted.judged.logits,
            fitted.calibration.scale * parts[index].logits + fitted.calibration.shift,
        )


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--device", "cpu"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, a cross-validation over both folds, and a tagger of fold 1 with its scores."""
    folder = tmp_path_factory.mktemp("calibration")
    write_corpus(folder / "clips")
    config = folder / "tiny.toml"
    config.write_text(LEARNING_CONFIG)
    assert run("finetune", config, "--out", folder / "folds", "--cross-validate", 1, 2) == 0
    config.write_text(LEARNING_CONFIG.replace("batch_size", "folds = [1]\nbatch_size"))
    assert run("finetune", config, "--out", folder / "one") == 0
    scored = ("--manifest", folder / "clips" / "manifest.jsonl")
    assert run("evaluate", folder / "one" / "artefact", *scored) == 0
    return folder


def calibrate(folder: Path, out: Path, *options: object) -> Artefact:
    assert run("calibrate", folder / "one" / "artefact", "--out", out, *options) == 0
    return load_artefact(out)


def test_the_summary_is_what_the_logits_say(folder: Path):
    summary = json.loads((folder / "folds" / "cross_validation.json").read_text())["calibration"]
    parts = [judged_fold(folder / "folds", fold) for fold in (1, 2)]
    # Of two folds each is calibrated by the other.
    for entry, other in zip(summary["folds"], parts[::-1], strict=True):
        assert (entry["scale"], entry["shift"]) == pytest.approx(fit_calibration(other))
    before = calibration_metrics(join_judged(parts))
    after = calibration_metrics(join_judged([fold.judged for fold in cross_fit(parts)]))
    assert before is not None
    assert after is not None
    assert summary["before"] == before.to_record()
    assert summary["after"] == after.to_record()
    assert before.pairs == 24 * 4
    assert before.top_tags == 24
    assert after.pairs_error != before.pairs_error


def test_a_calibrated_artefact_has_moved_logits_and_the_same_ranks(folder: Path, tmp_path: Path):
    manifest = folder / "clips" / "manifest.jsonl"
    old = load_artefact(folder / "one" / "artefact")
    new = calibrate(folder, tmp_path / "new", "--manifest", manifest, "--folds", 2)
    record = new.training["calibration"]
    clips = read_manifest(manifest)
    before, after = (evaluate(artefact, clips, device=CPU) for artefact in (old, new))
    trained = torch.tensor([label.trained for label in old.labels or ()])
    expected = torch.where(
        trained, record["scale"] * before.scored.logits + record["shift"], before.scored.logits
    )
    torch.testing.assert_close(after.scored.logits, expected, atol=1e-5, rtol=0)
    assert (after.scored.logits - before.scored.logits)[:, trained].abs().max() > 0.1
    for name in ("mean_average_precision", "mean_auc", "accuracy"):
        assert after.artefact.evaluation[name] == before.artefact.evaluation[name], name
    # Thresholds have moved with the scores: decisions are what they were.
    old_scores, new_scores = (each.scored.logits.double().sigmoid() for each in (before, after))
    moved = 0
    for row, (label, then) in enumerate(zip(new.labels or (), old.labels or (), strict=True)):
        if label.threshold is None or then.threshold is None or label.threshold == 0.5:
            continue
        moved += label.threshold != then.threshold
        assert torch.equal(
            new_scores[:, row] >= label.threshold - 1e-6,
            old_scores[:, row] >= then.threshold - 1e-6,
        )
    assert moved > 0


def test_the_record_says_on_what_it_was_fitted_and_what_it_changed(folder: Path, tmp_path: Path):
    manifest = folder / "clips" / "manifest.jsonl"
    artefact = calibrate(folder, tmp_path / "new", "--manifest", manifest, "--folds", 2)
    record = artefact.training["calibration"]
    scored = in_folds(read_manifest(manifest), [2])
    assert record["data"]["clips_sha256"] == clip_list_sha256(scored)
    assert record["data"]["overlaps_training"] is False
    assert "calibration" not in artefact.evaluation
    evaluation = evaluate(artefact, scored, device=CPU).artefact.evaluation["calibration"]
    for name in ("pairs", "top_tag"):
        error = record["after"][name]["expected_calibration_error"]
        assert evaluation[name]["expected_calibration_error"] == pytest.approx(error, abs=1e-4)
        assert record["before"][name]["expected_calibration_error"] != pytest.approx(error)


def test_a_cross_validation_calibrates_and_scores_a_tagger_of_all_folds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folds = ("--cross-validation", folder / "folds")
    artefact = calibrate(folder, tmp_path / "new", *folds)
    record = artefact.training["calibration"]
    pooled = join_judged([judged_fold(folder / "folds", fold) for fold in (1, 2)])
    assert (record["scale"], record["shift"]) == pytest.approx(fit_calibration(pooled))
    summary = json.loads((folder / "folds" / "cross_validation.json").read_text())
    assert record["after"] == summary["calibration"]["after"]
    assert record["data"]["clips"] == 24
    assert "warning" not in capsys.readouterr().out

    assert run("evaluate", tmp_path / "new", *folds) == 0
    scored = load_artefact(tmp_path / "new")
    assert scored.evaluation["cross_validation"] == summary
    correct = [
        json.loads((folder / "folds" / f"fold-{fold}" / "evaluation.json").read_text())["accuracy"]
        for fold in (1, 2)
    ]
    assert scored.evaluation["accuracy"]["correct"] == sum(part["correct"] for part in correct)
    assert scored.evaluation["data"]["scored_by"] == "taggers of a cross-validation"
    fitted = calibration_metrics(calibrate_judged(pooled, fit_calibration(pooled)))
    assert fitted is not None
    assert scored.evaluation["calibration"]["pairs"] == pytest.approx(
        fitted.to_record()["pairs"], abs=1e-6
    )


def test_the_calibrated_model_is_exported_as_it_is(folder: Path, tmp_path: Path):
    manifest = folder / "clips" / "manifest.jsonl"
    artefact = calibrate(folder, tmp_path / "new", "--manifest", manifest)
    model = ("--license", "CC0-1.0", "--description", "A test.", "--out", tmp_path / "model")
    assert main(["export", *map(str, (tmp_path / "new", *model))]) == 0
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["training"]["calibration"] == artefact.training["calibration"]
    clip = read_waveform(read_manifest(manifest)[0].path)
    session = onnxruntime.InferenceSession(tmp_path / "model" / "encoder.fp32.onnx")
    feeds = {"waveform": clip[None], "num_samples": np.array([len(clip)])}
    rows, logits = session.run(["row_logits", "clip_logits"], feeds)
    old = load_artefact(folder / "one" / "artefact").model
    with torch.no_grad():
        expected = old(torch.from_numpy(clip[None]), torch.tensor([len(clip)]))
    calibration = calibration_of(artefact)
    trained = [label.trained for label in artefact.labels or ()]
    for ours, theirs in ((rows, expected.row_logits), (logits, expected.clip_logits)):
        np.testing.assert_allclose(
            ours[..., trained],
            calibration.scale * theirs.numpy()[..., trained] + calibration.shift,
            atol=1e-4,
        )


def test_what_cannot_be_calibrated_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    manifest = ("--manifest", folder / "clips" / "manifest.jsonl")
    artefact = calibrate(folder, tmp_path / "new", *manifest)
    assert "warning: clips of these folds were trained on" in capsys.readouterr().out
    assert run("calibrate", tmp_path / "new", *manifest, "--out", tmp_path / "again") == 2
    assert "expected an artefact that is not calibrated yet" in capsys.readouterr().err
    unlabelled = Artefact(model=Beats(artefact.model.config), kind="pretrained")
    save_artefact(tmp_path / "encoder", unlabelled)
    assert run("calibrate", tmp_path / "encoder", *manifest, "--out", tmp_path / "again") == 2
    assert "expected a model with labels, got one without" in capsys.readouterr().err
    nowhere = ("--cross-validation", tmp_path)
    assert run("calibrate", folder / "one/artefact", *nowhere, "--out", tmp_path / "again") == 2
    assert "expected a finished cross-validation" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
    few = replace(artefact, labels=artefact.labels, activation="softmax", training={})
    with pytest.raises(UserError, match="expected a model with independent labels"):
        calibrate_artefact(few, Calibration(1.0, 0.0), record={})
