"""Sentences of a report, for runs that did not end well."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from earshot_training.config import to_dict
from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import load_iterate_config
from earshot_training.iterate.context import create_context
from earshot_training.iterate.convergence import IterationScores
from earshot_training.iterate.outcome import best_iteration, outcome_of
from earshot_training.iterate.probe_files import save_probe
from earshot_training.iterate.report import verdict_sentence, write_report
from earshot_training.iterate.run_folder import RunFolder, StageRecord
from earshot_training.iterate.scores import IterationRow
from earshot_training.probe.probe import ProbeConfig, probe_vectors
from earshot_training.train.features import ClipVectors
from tests.iterate_runs import TOY_CONFIG, short_config
from tests.toy_sounds import write_toy_corpus


def row(iteration, *, accuracy=0.6, cross_entropy_fall=0.001, **changes):
    scores = IterationScores(
        iteration=iteration,
        gain_pp=None if iteration == 1 else 0.0,
        gain_standard_error_pp=None if iteration == 1 else 1.0,
        agreement=None if iteration == 1 else 0.60,
        reseed_agreement=None if iteration == 1 else 0.61,
        perplexity=40.0,
        usage=0.95,
        codebook_size=64,
        label_information=0.10,
        label_information_standard_error=0.005,
    )
    return IterationRow(
        scores=dataclasses.replace(scores, **changes),
        accuracy=accuracy,
        knn_accuracy=0.5,
        retrieval_precision=0.4,
        masked_accuracy=0.3,
        masked_cross_entropy=2.0,
        masked_unigram_entropy=3.0,
        cross_entropy_fall=cross_entropy_fall,
        steps=10,
        clips=100,
        wall_seconds=1.0,
        flop=1e9,
    )


DRIFTING = {"agreement": 0.2}
COLLAPSED = {"agreement": 1.0, "reseed_agreement": 1.0, "perplexity": 1.2, "usage": 0.05}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "Unfinished: 0 of at most 5 iterations are done."),
        ([row(1), row(2)], "Unfinished: 2 of at most 5 iterations are done."),
        ([row(1), row(2), row(3)], "Converged at iteration 3."),
        ([row(1), *(row(n, **DRIFTING) for n in (2, 3, 4))], "Unfinished: 4 of at most 5"),
        ([row(1), *(row(n, **DRIFTING) for n in (2, 3, 4, 5))], "Not converged within 5"),
        ([row(1), row(2), row(3, **COLLAPSED)], "Failure at iteration 3: "),
    ],
)
def test_verdicts(rows, told):
    config = load_iterate_config(TOY_CONFIG)
    assert verdict_sentence(outcome_of(rows, config), config).startswith(told)


def test_the_best_iteration_is_the_first_of_equals():
    assert best_iteration([row(1, accuracy=0.5), row(2, accuracy=0.7), row(3, accuracy=0.7)]) == 2


@pytest.fixture
def folder(tmp_path):
    """A run folder with a description and nothing done."""
    manifest = write_toy_corpus(tmp_path / "clips", clips_per_class=4)
    context = create_context(
        short_config(manifest),
        RunFolder(tmp_path / "run"),
        device=torch.device("cpu"),
        budget=Budget(),
        say=lambda _: None,
    )
    vectors = np.random.default_rng(0).normal(size=(2, 24, 5)).astype(np.float32)
    result = probe_vectors(ClipVectors(vectors, vectors[-1]), context.probe_clips, ProbeConfig())
    for iteration in (1, 2, 3):
        save_probe(context.folder.stage(iteration, "probe"), result, context.probe_clips)
    return context.folder


def finish(folder: RunFolder, rows):
    tokens = {"tokens": 1152}
    for one in rows:
        n = one.scores.iteration
        for stage, results in (("probe-tokens", tokens), ("scores", to_dict(one))):
            record = StageRecord(iteration=n, stage=stage, wall_seconds=1.0, results=results)
            folder.finish(record)


def test_a_report_of_a_run_that_has_just_begun(folder):
    report = write_report(folder).read_text()
    assert "**Unfinished: 0 of at most 3 iterations are done.**" in report
    assert "| n | S %" not in report
    assert Path(folder.path / "plots" / "losses.png").exists()


def test_a_report_of_a_collapse_is_one_of_failure(folder):
    finish(folder, [row(1), row(2), row(3, **COLLAPSED)])
    report = write_report(folder).read_text()
    assert "**Failure at iteration 3: tokens and probe stand still because the codebook" in report
    assert "## Rule at iteration 3: failure" in report
    assert "| (b) agreement | token agreement | 1 | at least | 0.9 | holds |" in report
    assert "| (c) health | perplexity | 1.2 | at least | 16 | does not hold |" in report


def test_a_report_without_a_verdict_says_so(folder):
    finish(folder, [row(1), row(2), row(3, **DRIFTING)])
    report = write_report(folder).read_text()
    assert "**Not converged within 3 iterations.** Best pair by S: iteration 1, 60.0 %" in report
    assert "## Rule at iteration 3: not converged" in report


def test_a_report_warns_of_encoders_that_were_still_learning(folder):
    finish(folder, [row(1), row(2, cross_entropy_fall=0.0031), row(3)])
    report = write_report(folder).read_text()
    assert "Caution: over the last tenth of the steps" in report
    assert "0.2 % or more (encoder 2 by 0.31 %)" in report
    finish(folder, [row(2)])
    assert "none was left half-way" in write_report(folder).read_text()
