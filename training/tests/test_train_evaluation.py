"""Evaluation: batches equal single clips, records tell what was scored, long clips are refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earshot_training.audio.waveform import read_waveform
from earshot_training.config import EncoderConfig
from earshot_training.data.manifest import Clip, clip_list_sha256, read_manifest
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.beats import Beats
from earshot_training.train.evaluation import evaluate
from earshot_training.train.evaluation_files import write_evaluation
from earshot_training.train.metrics import decision_threshold
from earshot_training.train.scored_clips import load_scored_clips, save_scored_clips, score_clips
from tests.made_clips import BARK, DOG, RAIN, SIREN, write_corpus

CPU = torch.device("cpu")


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Clip, ...]:
    return read_manifest(write_corpus(tmp_path / "clips"))


@pytest.fixture
def artefact() -> Artefact:
    """A tagger of four labels, the siren not among those that were trained."""
    torch.manual_seed(0)
    config = EncoderConfig(
        patch_dim=16, dim=16, ffn_dim=32, layers=2, heads=2, conv_pos_kernel=16, conv_pos_groups=4
    )
    labels = tuple(
        TrainedLabel(mid=mid, name=mid, trained=mid != SIREN) for mid in (DOG, BARK, RAIN, SIREN)
    )
    return Artefact(
        model=Beats(config, num_labels=4).eval(),
        kind="finetuned",
        activation="sigmoid",
        labels=labels,
        training={"data": {"sources": ["made"], "folds": [1]}},
    )


def test_logits_of_a_list_are_those_of_each_clip_alone(artefact: Artefact, clips: tuple[Clip, ...]):
    logits = score_clips(artefact.model, clips, device=CPU).logits
    assert logits.shape == (24, 4)
    for row, clip in enumerate(clips):
        waveform = torch.from_numpy(read_waveform(clip.path))
        alone = artefact.model(waveform[None], torch.tensor([len(waveform)])).clip_logits[0]
        torch.testing.assert_close(logits[row], alone, atol=1e-4, rtol=0)


def test_shifts_average_rotated_clips(artefact: Artefact, clips: tuple[Clip, ...], tmp_path: Path):
    averaged = score_clips(artefact.model, clips[:3], device=CPU, shifts=4)
    for row, clip in enumerate(clips[:3]):
        waveform = read_waveform(clip.path)
        parts = [np.concatenate([waveform[n:], waveform[:n]]) for n in (0, 640, 1280, 1920)]
        heard = torch.from_numpy(np.stack(parts))
        each = artefact.model(heard, torch.full((4,), len(waveform))).clip_logits
        torch.testing.assert_close(averaged.logits[row], each.mean(dim=0), atol=1e-4, rtol=0)
        assert each.std(dim=0).max() > 1e-3
    record = evaluate(artefact, clips, device=CPU, shifts=4).artefact.evaluation
    assert record["data"]["shifts"] == 4
    with pytest.raises(UserError, match="expected at least 1 shift, got 0"):
        score_clips(artefact.model, clips, device=CPU, shifts=0)
    save_scored_clips(tmp_path, averaged)
    assert load_scored_clips(tmp_path).clips == averaged.clips
    assert torch.equal(load_scored_clips(tmp_path).logits, averaged.logits)
    np.save(tmp_path / "logits.npy", averaged.logits[:2].numpy())
    with pytest.raises(UserError, match="expected logits of 3 clips, got \\(2, 4\\)"):
        load_scored_clips(tmp_path)


def test_the_record_says_what_was_scored(artefact: Artefact, clips: tuple[Clip, ...]):
    scored = evaluate(artefact, clips, device=CPU).artefact
    record = scored.evaluation
    assert record["data"]["clips"] == 24
    assert record["data"]["clips_sha256"] == clip_list_sha256(clips)
    assert record["data"]["overlaps_training"] is True
    assert record["labels_scored"] == 3
    assert record["accuracy"]["clips"] == 16
    assert record["accuracy"]["unlabelled_classes"] == ["siren"]
    dog, _, rain, siren = scored.labels
    assert record["mean_average_precision"] == pytest.approx(
        np.mean([label.average_precision for label in scored.labels[:3]])
    )
    assert 0 < dog.threshold < 1
    assert 0 < rain.threshold < 1
    assert (siren.average_precision, siren.threshold) == (None, None)


def test_a_trained_label_with_few_clips_gets_the_threshold_of_all_others_together(
    artefact: Artefact, clips: tuple[Clip, ...]
):
    # Four clips of rain are one too few for a threshold of its own.
    is_rain = [RAIN in clip.mids for clip in clips]
    fewer = [clip for i, clip in enumerate(clips) if not is_rain[i] or sum(is_rain[:i]) < 4]
    scored = evaluate(artefact, fewer, device=CPU)
    dog, bark, rain, siren = scored.artefact.labels
    pairs = [
        (score, mid in clip.mids)
        for clip, scores in zip(fewer, scored.scored.logits.double().sigmoid(), strict=True)
        for score, mid in zip(scores.tolist(), (DOG, BARK), strict=False)
    ]
    pooled = decision_threshold(np.array([s for s, _ in pairs]), np.array([t for _, t in pairs]))
    assert rain.threshold == scored.artefact.evaluation["pooled_threshold"]
    assert rain.threshold == pytest.approx(pooled)
    assert dog.average_precision is not None
    assert bark.average_precision is not None
    assert siren.threshold is None  # not trained


def test_lists_without_classes_have_no_accuracy(
    artefact: Artefact, clips: tuple[Clip, ...], tmp_path: Path
):
    unnamed = [replace(clip, class_name=None) for clip in clips]
    evaluation = evaluate(artefact, unnamed, device=CPU)
    assert evaluation.artefact.evaluation["accuracy"] is None
    write_evaluation(tmp_path / "scores.json", evaluation)
    assert json.loads((tmp_path / "scores.json").read_text())["confusion"] is None
    assert not (tmp_path / "scores.confusion.csv").exists()


def test_the_tables_hold_each_label_and_each_class(
    artefact: Artefact, clips: tuple[Clip, ...], tmp_path: Path
):
    evaluation = evaluate(artefact, clips, device=CPU)
    write_evaluation(tmp_path / "scores.json", evaluation)
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["accuracy"] == evaluation.artefact.evaluation["accuracy"]
    with (tmp_path / "scores.labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["mid"] for row in rows] == [DOG, BARK, RAIN]  # the siren was not trained
    for row, label in zip(rows, evaluation.artefact.labels, strict=False):
        assert float(row["average_precision"]) == label.average_precision
        assert float(row["threshold"]) == label.threshold
        assert int(row["positives"]) == 8
    with (tmp_path / "scores.confusion.csv").open() as file:
        header, *lines = csv.reader(file)
    assert header == ["true class", "dog", "rain"]
    logits = score_clips(artefact.model, clips, device=CPU).logits
    scores = torch.stack([logits[:, :2].mean(dim=1), logits[:, 2]], dim=1)
    for index, (name, *counts) in enumerate(lines):
        taken_for = scores[[clip.class_name == name for clip in clips]].argmax(dim=1)
        assert [int(count) for count in counts] == [int((taken_for == c).sum()) for c in (0, 1)]
        assert record["confusion"]["counts"][index] == [int(count) for count in counts]


def test_a_clip_beyond_the_longest_input_is_refused(
    artefact: Artefact, clips: tuple[Clip, ...], tmp_path: Path
):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(16_000 * 83), 16_000)
    with pytest.raises(UserError, match=r"long\.flac: expected a clip of at most 4096 patches"):
        score_clips(artefact.model, [replace(clips[0], path=path)], device=CPU)
