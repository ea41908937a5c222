"""Where a run stands, read from the rows of its finished iterations."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from earshot_training.iterate.config import IterateConfig
from earshot_training.iterate.convergence import Verdict, judge_run
from earshot_training.iterate.scores import IterationRow

State = Literal["unfinished", "converged", "not_converged", "failure"]


class Outcome(NamedTuple):
    """Where a run stands."""

    state: State
    """Not converged is a verdict: the limit of iterations is reached. Unfinished is none yet."""
    verdict: Verdict
    best_iteration: int | None
    """The one with the highest S; None before the first is finished."""


def outcome_of(rows: Sequence[IterationRow], config: IterateConfig) -> Outcome:
    """Judge the rows of all finished iterations, 1, 2, ..."""
    verdict = judge_run([row.scores for row in rows], config.convergence)
    state: State = verdict.status
    if state == "not_converged" and len(rows) < config.max_iterations:
        state = "unfinished"
    return Outcome(state, verdict, best_iteration(rows) if rows else None)


def best_iteration(rows: Sequence[IterationRow]) -> int:
    """Find the iteration with the highest S; of equal ones the first, which cost least."""
    best = max(rows, key=lambda row: (row.accuracy, -row.scores.iteration))
    return best.scores.iteration
