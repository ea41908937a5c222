"""Metrics against values worked out by hand and against plain definitions."""

import math

import numpy as np
import pytest

from earshot_training.train.metrics import (
    best_f1,
    class_accuracy,
    decision_threshold,
    tagging_metrics,
    wilson_interval,
)


def test_average_precision_auc_and_d_prime_by_hand():
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.2, 0.5], [0.7, 0.3, 0.5], [0.6, 0.4, 0.5]])
    truth = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
    metrics = tagging_metrics(scores, truth)
    first, second, empty = metrics.per_label
    assert first.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert first.auc == pytest.approx(3 / 4)
    assert second.average_precision == pytest.approx(1.0)
    assert (empty.positives, empty.average_precision, empty.auc) == (0, None, None)
    assert metrics.mean_average_precision == pytest.approx((5 / 6 + 1) / 2)
    assert metrics.mean_auc == pytest.approx(7 / 8)
    assert metrics.d_prime == pytest.approx(math.sqrt(2) * 1.1503493803760079)


def test_auc_is_the_share_of_ordered_pairs_and_ties_count_half():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 6, (60, 2)).astype(float)
    truth = generator.random((60, 2)) < 0.4
    for label, metrics in enumerate(tagging_metrics(scores, truth).per_label):
        positives, negatives = scores[truth[:, label], label], scores[~truth[:, label], label]
        difference = positives[:, None] - negatives[None, :]
        assert metrics.auc == pytest.approx((difference > 0).mean() + (difference == 0).mean() / 2)


def test_a_perfect_ranking_has_no_finite_d_prime():
    metrics = tagging_metrics(np.array([[0.1], [0.9]]), np.array([[False], [True]]))
    assert (metrics.mean_auc, metrics.d_prime) == (1.0, None)


def test_the_best_f1_is_that_of_all_thresholds():
    generator = np.random.default_rng(1)
    for _ in range(20):
        truth = generator.random(40) < 0.3
        truth[0] = True
        scores = np.round(generator.random(40) + 0.3 * truth, 2)

        def f1(threshold: float, scores: np.ndarray = scores, truth: np.ndarray = truth) -> float:
            chosen = scores >= threshold
            return 2 * (chosen & truth).sum() / (chosen.sum() + truth.sum())

        best = max(f1(score) for score in scores)
        found = best_f1(scores, truth)
        assert f1(found.threshold) == pytest.approx(best)
        assert found.f1 == pytest.approx(best)


def test_few_positives_give_no_threshold_and_none_is_above_a_half():
    truth = np.zeros((20, 3), dtype=bool)
    truth[:4, 0] = truth[:5, 1] = truth[:15, 2] = True
    scores = np.linspace(1, 0, 20)
    few, enough, many = tagging_metrics(np.tile(scores[:, None], 3), truth).per_label
    assert few.threshold is None
    assert scores[4] > 0.5
    assert enough.threshold == 0.5
    # F1 is 1 from scores[14] on, and half of it is 0.5: the threshold lies between the two.
    assert many.threshold == pytest.approx(math.sqrt(scores[14] * 0.5))


def test_the_pooled_threshold_is_that_of_the_pairs_of_labels_that_have_one():
    generator = np.random.default_rng(2)
    truth = generator.random((60, 3)) < 0.2
    truth[:, 2] = False
    truth[:4, 2] = True  # too few: its scores, of another size, say nothing
    scores = 0.3 * generator.random((60, 3)) + 0.1 * truth
    scores[:, 2] += 0.2
    pooled = decision_threshold(scores[:, :2].ravel(), truth[:, :2].ravel())
    assert tagging_metrics(scores, truth).pooled_threshold == pytest.approx(pooled)
    assert tagging_metrics(scores[:, 2:], truth[:, 2:]).pooled_threshold is None


def test_class_accuracy_merges_equal_classes_and_leaves_out_unlabelled_ones():
    classes = {"dog": [0, 1], "rain": [2], "puppy": [1, 0], "silence": []}
    logits = np.array(
        [
            [3.0, 1.0, 1.5],  # dog: mean 2.0 > 1.5, right
            [3.0, -1.0, 1.5],  # rain: 1.5 > 1.0, right
            [1.0, 1.0, 0.0],  # puppy: its labels are the dog's, right
            [2.0, 2.0, 0.0],  # rain: wrong
            [0.0, 0.0, 0.0],  # silence: not counted
        ]
    )
    accuracy = class_accuracy(logits, ["dog", "rain", "puppy", "rain", "silence"], classes)
    assert (accuracy.correct, accuracy.clips, accuracy.classes) == (3, 4, 2)
    assert accuracy.merged_classes == (("dog", "puppy"),)
    assert accuracy.unlabelled_classes == ("silence",)
    assert (accuracy.low, accuracy.high) == wilson_interval(3, 4)


def test_the_wilson_interval_solves_its_equation():
    for successes, trials in ((3, 4), (0, 10), (250, 384)):
        share = successes / trials
        for end in wilson_interval(successes, trials):
            score = abs(share - end) / math.sqrt(max(end * (1 - end), 1e-30) / trials)
            assert score == pytest.approx(1.959964, abs=1e-5) or end == pytest.approx(share)
