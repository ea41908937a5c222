"""The loop's config: what it gives each stage, what it refuses; the budget of a call."""

import dataclasses
from pathlib import Path

import pytest

from earshot_training.config import ConfigError
from earshot_training.errors import UserError
from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import (
    load_iterate_config,
    pretrain_config,
    teacher_config,
    tokenizer_config,
)
from earshot_training.iterate.loop import stages_of
from earshot_training.iterate.run_folder import STAGE_ORDER
from tests.iterate_runs import TOY_CONFIG, with_supervised_teacher


@pytest.fixture(params=sorted(path.name for path in TOY_CONFIG.parent.glob("*.toml")))
def config(request):
    return load_iterate_config(TOY_CONFIG.parent / request.param)


def test_no_two_trainings_of_a_run_share_a_seed(config):
    seeds = [pretrain_config(config, n).seed for n in (1, 2, 3)]
    seeds += [
        tokenizer_config(config, n, is_reseeded=twin).seed for n in (2, 3) for twin in (False, True)
    ]
    assert len(set(seeds)) == len(seeds)


def test_twins_differ_in_the_seed_alone(config):
    first, twin = (tokenizer_config(config, 2, is_reseeded=value) for value in (False, True))
    assert dataclasses.replace(twin, seed=first.seed) == first


def test_iterations_differ_in_the_seed_alone(config):
    first, later = pretrain_config(config, 1), pretrain_config(config, 4)
    assert dataclasses.replace(later, seed=first.seed) == first


def test_reseeding_may_begin_when_the_rule_does():
    late = dataclasses.replace(load_iterate_config(TOY_CONFIG), reseed_from_iteration=3)
    encoder = ["encoder", "probe", "scores"]
    assert stage_names(1, late) == ["tokens", "probe-tokens", *encoder]
    assert stage_names(2, late) == ["tokenizer", "tokens", "probe-tokens", *encoder]
    assert stage_names(3, late) == [
        "tokenizer",
        "tokenizer-reseeded",
        "tokens",
        "probe-tokens",
        "probe-tokens-reseeded",
        *encoder,
    ]


def stage_names(iteration, config):
    return [stage.name for stage in stages_of(iteration, config)]


def test_every_stage_has_a_place_in_the_order():
    config = with_supervised_teacher(load_iterate_config(TOY_CONFIG), Path("clips.jsonl"))
    for iteration in (1, 2, 3):
        names = stage_names(iteration, config)
        assert names == [name for name in STAGE_ORDER if name in names]
    assert stage_names(3, config) == list(STAGE_ORDER)


def test_a_supervised_teacher_teaches_logits_from_its_iteration_on():
    config = with_supervised_teacher(load_iterate_config(TOY_CONFIG), Path("clips.jsonl"))
    targets = [
        tokenizer_config(config, n, is_reseeded=twin).distillation.target
        for n in (2, 3, 4)
        for twin in (False, True)
    ]
    assert targets == ["patch_vectors"] * 2 + ["clip_logits"] * 4
    teacher = teacher_config(config, 3, encoder=Path("encoder"))
    assert (teacher.init, teacher.encoder) == (Path("encoder"), config.encoder.network)
    with pytest.raises(ValueError, match="expected a supervised teacher in iteration 2"):
        teacher_config(config, 2, encoder=Path("encoder"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"max_iterations": 2}, "max_iterations: expected at least convergence.min_encoders"),
        ({"reseed_from_iteration": 4}, "reseed_from_iteration: expected 2 to"),
    ],
)
def test_configs_without_a_verdict_are_refused(wrong, told):
    with pytest.raises(ConfigError, match=told):
        dataclasses.replace(load_iterate_config(TOY_CONFIG), **wrong)


def test_something_must_be_held_out():
    toy = load_iterate_config(TOY_CONFIG)
    with pytest.raises(ConfigError, match="held_out_folds: expected at least one fold"):
        dataclasses.replace(toy.corpus, held_out_folds=())


def test_a_budget_counts_steps_and_minutes():
    clock = [0.0]
    budget = Budget(max_steps=2, max_minutes=1, clock=lambda: clock[0])
    assert not budget.is_spent()
    assert not budget.count_step()
    assert budget.count_step()
    assert budget.is_spent()
    timed = Budget(max_minutes=1, clock=lambda: clock[0])
    assert not timed.count_step()
    clock[0] = 60.0
    assert timed.is_spent()
    with pytest.raises(UserError, match="expected max_steps above 0, got 0"):
        Budget(max_steps=0)
