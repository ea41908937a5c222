"""The rule that says when iterating has converged, and the numbers that go into it."""

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.metrics import (
    adjusted_mutual_info_score,
    mutual_info_score,
    normalized_mutual_info_score,
)

from earshot_training.config import ConfigError
from earshot_training.iterate.agreement import mutual_information, token_agreement
from earshot_training.iterate.convergence import (
    ConvergenceConfig,
    IterationScores,
    judge_iteration,
    judge_run,
)
from earshot_training.iterate.health import codebook_health, codes_per_clip, label_information


def draw(codes, patches=20_000, seed=0):
    return np.random.default_rng(seed).integers(codes, size=patches)


def test_agreement_of_a_tokenizer_with_itself_is_one():
    tokens = draw(64)
    names = np.random.default_rng(1).permutation(64)
    assert token_agreement(tokens, tokens, seed=0) == pytest.approx(1, abs=1e-12)
    assert token_agreement(tokens, names[tokens], seed=0) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("codes", [8, 64, 256])
def test_agreement_of_independent_tokens_is_zero(codes):
    agreement = token_agreement(draw(codes), draw(codes, seed=1), seed=0)
    assert agreement == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("noise", "codes"), [(0.1, 4), (0.5, 16), (0.9, 32)])
def test_agreement_equals_scikit_learns_adjusted_mutual_information(noise, codes):
    first = draw(codes, patches=4000)
    is_other = np.random.default_rng(2).random(4000) < noise
    second = np.where(is_other, draw(codes, patches=4000, seed=3), first)
    ours = token_agreement(first, second, seed=0, shuffles=50)
    assert ours == pytest.approx(adjusted_mutual_info_score(first, second), abs=2e-3)
    assert mutual_information(first, second) == pytest.approx(mutual_info_score(first, second))


def test_agreement_at_full_collapse_is_one_and_beside_collapse_zero():
    constant = np.zeros(1000, dtype=np.int64)
    assert token_agreement(constant, constant, seed=0) == 1.0
    assert token_agreement(constant, draw(8, patches=1000), seed=0) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match=r"\(1000,\) and \(8,\)"):
        token_agreement(constant, constant[:8], seed=0)


def test_codebook_health_by_hand():
    even = codebook_health(np.full(16, 100))
    assert even.perplexity == pytest.approx(16)
    assert even.usage == 1.0
    assert even.unigram_entropy == pytest.approx(np.log(16))
    half = codebook_health(np.array([50, 50, 0, 0]))
    assert (half.perplexity, half.usage) == (pytest.approx(2), 0.5)
    # 2 ** (entropy in bits) is the same number; one patch in 200,000 is below 1e-5.
    rare = codebook_health(np.array([199_999, 1]))
    shares = np.array([199_999, 1]) / 200_000
    assert rare.perplexity == pytest.approx(2 ** -(shares * np.log2(shares)).sum())
    assert rare.usage == 0.5


def test_label_information_of_clips():
    random = np.random.default_rng(0)
    class_ids = np.arange(60) % 3
    telling = [np.full((6, 8), label) for label in class_ids]
    told = label_information(codes_per_clip(telling, 4), class_ids, seed=0)
    assert told.share == pytest.approx(1)
    grids = [random.integers(4, size=(6, 8)) for _ in class_ids]
    silent = label_information(codes_per_clip(grids, 4), class_ids, seed=0)
    assert 0 <= silent.share < 0.01
    tokens = np.concatenate([grid.ravel() for grid in grids])
    classes = np.repeat(class_ids, 48)
    entropy_of_class = np.log(3)
    assert silent.share == pytest.approx(mutual_info_score(classes, tokens) / entropy_of_class)
    assert told.share == pytest.approx(
        normalized_mutual_info_score(classes, np.concatenate([g.ravel() for g in telling]))
    )


def test_the_error_of_label_information_is_the_spread_over_lists_of_clips():
    """The bootstrap's error equals the spread over lists drawn anew from the same source."""
    drawn, errors = [], []
    for seed in range(60):
        random = np.random.default_rng(seed)
        class_ids = np.arange(90) % 3
        grids = [random.choice([label, random.integers(4)], size=(6, 8)) for label in class_ids]
        result = label_information(codes_per_clip(grids, 4), class_ids, seed=seed, resamples=60)
        drawn.append(result.share)
        errors.append(result.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(drawn, ddof=1), rel=0.3)


def row(iteration, **changes):
    scores = IterationScores(
        iteration=iteration,
        gain_pp=0.3,
        gain_standard_error_pp=0.2,
        agreement=0.60,
        reseed_agreement=0.61,
        perplexity=300.0,
        usage=0.95,
        codebook_size=1024,
        label_information=0.10,
        label_information_standard_error=0.005,
    )
    return dataclasses.replace(scores, **changes)


def judge(**changes):
    return judge_run([row(1), row(2), row(3, **changes)], ConvergenceConfig())


PASSES = {"a": {}, "b": {}, "c": {}}
BREAKS = {"a": {"gain_pp": 3.0}, "b": {"agreement": 0.5}, "c": {"perplexity": 20.0}}
STATUS = {
    (True, True, True): "converged",
    (True, True, False): "failure",
    (True, False, True): "not_converged",
    (True, False, False): "not_converged",
    (False, True, True): "not_converged",
    (False, True, False): "not_converged",
    (False, False, True): "not_converged",
    (False, False, False): "not_converged",
}


@pytest.mark.parametrize("parts", list(itertools.product([True, False], repeat=3)))
def test_truth_table(parts):
    changes = {}
    for part, holds in zip("abc", parts, strict=True):
        changes |= (PASSES if holds else BREAKS)[part]
    verdict = judge(**changes)
    assert verdict.status == STATUS[parts]
    assert tuple(verdict.judgements[-1].holds(part) for part in "abc") == parts
    assert verdict.iteration == 3


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"gain_pp": 0.5}, "converged"),  # ties count
        ({"gain_pp": 0.51}, "not_converged"),
        ({"gain_pp": 2.0, "gain_standard_error_pp": 1.0}, "converged"),
        ({"gain_pp": 2.01, "gain_standard_error_pp": 1.0}, "not_converged"),
        ({"gain_pp": -8.0}, "converged"),
        ({"agreement": 0.61 - 0.02}, "converged"),
        ({"agreement": 0.589}, "not_converged"),
        ({"perplexity": 256.0}, "converged"),
        ({"perplexity": 255.9}, "failure"),
        ({"perplexity": 17.0, "codebook_size": 64}, "converged"),
        ({"usage": 0.9}, "converged"),
        ({"usage": 0.899}, "failure"),
        ({"label_information": 0.091}, "converged"),
        ({"label_information": 0.089}, "failure"),
        # Collapse: one token for everything agrees with itself and gains nothing.
        (
            {
                "agreement": 1.0,
                "reseed_agreement": 1.0,
                "gain_pp": 0.0,
                "perplexity": 1.0,
                "usage": 1 / 1024,
                "label_information": 0.0,
            },
            "failure",
        ),
    ],
)
def test_edges_of_the_rule(changes, status):
    assert judge(**changes).status == status


def test_the_rule_waits_for_three_encoders():
    assert judge_run([], ConvergenceConfig()).status == "not_converged"
    assert judge_run([row(1)], ConvergenceConfig()).iteration == 1
    two = judge_run([row(1), row(2, perplexity=1.0)], ConvergenceConfig())
    assert (two.status, two.judgements) == ("not_converged", ())


def test_twice_in_a_row():
    config = ConvergenceConfig(times_in_a_row=2)
    rows = [row(1), row(2), row(3)]
    assert judge_run(rows, config).status == "not_converged"
    assert judge_run([*rows, row(4)], config).status == "converged"
    assert judge_run([*rows, row(4, gain_pp=5.0), row(5)], config).status == "not_converged"
    assert judge_run([*rows, row(4, usage=0.1)], config).status == "failure"


def test_a_judgement_names_its_numbers():
    judgement = judge_iteration(row(3), row(2), ConvergenceConfig())
    told = {c.what: (c.value, c.relation, pytest.approx(c.threshold)) for c in judgement.criteria}
    assert told == {
        "probe gain (pp)": (0.3, "<=", 0.5),
        "token agreement": (0.60, ">=", 0.59),
        "perplexity": (300.0, ">=", 256.0),
        "codes in use": (0.95, ">=", 0.9),
        "label information": (0.10, ">=", 0.09),
    }
    with pytest.raises(ValueError, match="expected gain and agreements"):
        judge_iteration(row(3, agreement=None), row(2), ConvergenceConfig())


@pytest.mark.parametrize(
    "wrong", [{"min_encoders": 1}, {"min_usage": 1.5}, {"agreement_margin": -0.1}]
)
def test_thresholds_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"expected"):
        ConvergenceConfig(**wrong)
