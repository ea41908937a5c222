"""Whether a model has learnt from clips, told by the records of its trainings."""

from pathlib import Path

import pytest

from earshot_training.data.manifest import Clip, in_folds, read_manifest
from earshot_training.train.heard_clips import overlaps_training
from tests.made_clips import write_corpus

ELSEWHERE = {"data": {"sources": ["other"], "folds": []}}
OF_FOLD_1 = {"data": {"sources": ["made"], "folds": [1]}}


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Clip, ...]:
    return read_manifest(write_corpus(tmp_path / "clips"))


def test_clips_are_known_by_set_and_fold(clips: tuple[Clip, ...]):
    second_fold = in_folds(clips, [2])
    assert overlaps_training(clips, OF_FOLD_1) is True
    assert overlaps_training(second_fold, OF_FOLD_1) is False
    assert overlaps_training(second_fold, {"data": {"sources": ["made"], "folds": []}}) is True
    assert overlaps_training(clips, ELSEWHERE) is False
    assert overlaps_training(clips, {}) is None


def test_every_training_before_counts(clips: tuple[Clip, ...]):
    assert overlaps_training(clips, ELSEWHERE | {"started_from": OF_FOLD_1}) is True
    assert overlaps_training(clips, {"started_from": OF_FOLD_1}) is True
    assert overlaps_training(clips, ELSEWHERE | {"started_from": {}}) is None


def test_those_that_heard_labels_can_be_asked_for_alone(clips: tuple[Clip, ...]):
    unlabelled = OF_FOLD_1 | {"objective": "masked_tokens"}
    tagger = ELSEWHERE | {"objective": "tagging", "started_from": unlabelled}
    assert overlaps_training(clips, tagger) is True
    assert overlaps_training(clips, tagger, objective="tagging") is False
    again = {"objective": "tagging", **ELSEWHERE, "started_from": OF_FOLD_1}
    assert overlaps_training(clips, again, objective="tagging") is False
    told = again | {"started_from": OF_FOLD_1 | {"objective": "tagging"}}
    assert overlaps_training(clips, told, objective="tagging") is True
