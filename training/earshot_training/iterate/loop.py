"""The loop: tokenizer and encoder in turn until they have converged, stopped and resumed at will.

What is done is what lies on disk. Every stage follows from the config and from finished stages
alone, so a run that was stopped anywhere, any number of times, comes to the same result.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from earshot_training.iterate.config import IterateConfig
from earshot_training.iterate.context import RunContext
from earshot_training.iterate.frozen_stages import name_corpus_stage, name_probe_stage, probe_stage
from earshot_training.iterate.outcome import Outcome, outcome_of
from earshot_training.iterate.run_folder import OUTCOME_FILE, StageRecord
from earshot_training.iterate.scores import read_rows, score_stage
from earshot_training.iterate.training_stages import (
    finetune_teacher_stage,
    train_encoder_stage,
    train_tokenizer_stage,
)
from earshot_training.json_file import write_json
from earshot_training.train.run_folder import ARTEFACT_FOLDER, CHECKPOINT_FILE


class Stage(NamedTuple):
    """One step of an iteration; it answers None when the budget stopped it."""

    name: str
    run: Callable[[RunContext, int], StageRecord | None]


def iterate(context: RunContext) -> Outcome:
    """Work on a run until it has converged, failed, met its limit or spent the call's budget.

    A run that is still unfinished afterwards goes on when this is called again.

    Raises:
        UserError: a clip cannot be read.

    """
    outcome = outcome_of(read_rows(context.folder), context.config)
    while outcome.state == "unfinished" and _run_iteration(context, outcome.verdict.iteration + 1):
        outcome = outcome_of(read_rows(context.folder), context.config)
    context.folder.write_metrics()
    write_json(context.folder.path / OUTCOME_FILE, _to_table(outcome))
    return outcome


def stages_of(iteration: int, config: IterateConfig) -> tuple[Stage, ...]:
    """List what an iteration does, in order; the first has the random projection as tokenizer."""
    is_distilled = iteration > 1
    is_reseeded = is_distilled and iteration >= config.reseed_from_iteration
    teacher = [Stage("teacher", finetune_teacher_stage)]
    trained = [
        Stage("tokenizer", partial(train_tokenizer_stage, is_reseeded=False)),
        Stage("tokenizer-reseeded", partial(train_tokenizer_stage, is_reseeded=True)),
    ]
    compared = [
        Stage("probe-tokens", partial(name_probe_stage, is_reseeded=False)),
        Stage("probe-tokens-reseeded", partial(name_probe_stage, is_reseeded=True)),
    ]
    return (
        *teacher[: config.has_supervised_teacher(iteration)],
        *trained[: is_distilled + is_reseeded],
        Stage("tokens", name_corpus_stage),
        *compared[: 1 + is_reseeded],
        Stage("encoder", train_encoder_stage),
        Stage("probe", probe_stage),
        Stage("scores", score_stage),
    )


def _run_iteration(context: RunContext, iteration: int) -> bool:
    """Finish all stages of an iteration; False when the budget stopped one."""
    for stage in stages_of(iteration, context.config):
        if context.folder.record(iteration, stage.name) is not None:
            continue
        if context.budget.is_spent():
            return False
        context.say(f"iteration {iteration}: {stage.name}")
        record = stage.run(context, iteration)
        if record is None:
            return False
        context.folder.finish(record)
        context.folder.write_metrics()
        # A finished stage has its artefact; the optimizer's state would be twice as large again.
        (context.folder.stage(iteration, stage.name) / CHECKPOINT_FILE).unlink(missing_ok=True)
    return True


def _to_table(outcome: Outcome) -> dict[str, object]:
    best, table = outcome.best_iteration, {}
    if best is not None:
        table = {
            "best_iteration": best,
            "encoder": f"iteration-{best}/encoder/{ARTEFACT_FOLDER}",
            "tokenizer": f"iteration-{best}/tokenizer/{ARTEFACT_FOLDER}" if best > 1 else None,
        }
    return {"state": outcome.state, "iterations": outcome.verdict.iteration, **table}
