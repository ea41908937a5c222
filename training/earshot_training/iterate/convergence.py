"""When iterating has converged: gain within noise, tokens as stable as a reseed, codes in use.

The paper repeats tokenizer and encoder "until convergence" and gives no test. This is ours; its
thresholds stand in the config before the run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from earshot_training.config import ConfigError

Status = Literal["converged", "not_converged", "failure"]
Part = Literal["a", "b", "c"]


@dataclass(frozen=True, kw_only=True)
class ConvergenceConfig:
    """Thresholds of the rule."""

    min_encoders: int = 3
    """Encoders trained before the rule is asked."""
    max_gain_pp: float = 0.5
    """(a) Probe gain over the previous encoder, in percentage points, that still is none."""
    gain_standard_errors: float = 2.0
    """(a) ... or so many paired standard errors, whichever is more."""
    agreement_margin: float = 0.02
    """(b) How far agreement with the previous tokenizer may stay below that of a reseeded one."""
    min_perplexity_share: float = 0.25
    """(c) Perplexity of the tokens, as a share of the codebook's size."""
    min_usage: float = 0.9
    """(c) Share of the codes that carry at least 1e-5 of the patches."""
    information_standard_errors: float = 2.0
    """(c) By how many standard errors label information may fall from one iteration to the next."""
    max_cross_entropy_fall: float = 0.002
    """Relative fall of the held-out cross-entropy over the last tenth of an encoder's steps from
    which on the report warns that half-trained encoders are compared. Decides nothing."""
    times_in_a_row: int = 1
    """Iterations in a row that the rule must hold for."""

    def __post_init__(self) -> None:
        """Refuse thresholds that mean nothing."""
        if self.min_encoders < 2 or self.times_in_a_row < 1:
            raise ConfigError(
                "expected min_encoders of at least 2 and times_in_a_row of at least 1, "
                f"got {self.min_encoders} and {self.times_in_a_row}"
            )
        for name in ("min_perplexity_share", "min_usage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected a share in [0, 1], got {getattr(self, name)}")
        for name in (
            "gain_standard_errors",
            "agreement_margin",
            "information_standard_errors",
            "max_cross_entropy_fall",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected at least 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class IterationScores:
    """What the rule looks at of one iteration; None where there is no previous one."""

    iteration: int
    gain_pp: float | None
    """Probe accuracy minus that of the previous encoder, in percentage points."""
    gain_standard_error_pp: float | None
    """Of that difference, paired over clips."""
    agreement: float | None
    """Of this iteration's tokens with the previous one's."""
    reseed_agreement: float | None
    """Of this iteration's tokens with those of the same tokenizer trained from another seed."""
    perplexity: float
    usage: float
    codebook_size: int
    label_information: float
    label_information_standard_error: float


class Criterion(NamedTuple):
    """One comparison of the rule."""

    part: Part
    what: str
    value: float
    relation: Literal["<=", ">="]
    threshold: float

    @property
    def holds(self) -> bool:
        """Ties count."""
        if self.relation == "<=":
            return self.value <= self.threshold
        return self.value >= self.threshold


class Judgement(NamedTuple):
    """The rule asked of one iteration."""

    iteration: int
    criteria: tuple[Criterion, ...]

    @property
    def status(self) -> Status:
        """Collapse makes agreement high and gain small: without health both are a failure."""
        if not (self.holds("a") and self.holds("b")):
            return "not_converged"
        return "converged" if self.holds("c") else "failure"

    def holds(self, part: Part) -> bool:
        """All comparisons of that part hold."""
        return all(criterion.holds for criterion in self.criteria if criterion.part == part)


class Verdict(NamedTuple):
    """Where a run stands after its last complete iteration."""

    status: Status
    iteration: int
    """Last iteration looked at; 0 before the first."""
    judgements: tuple[Judgement, ...]
    """Of every iteration that the rule was asked of."""


def judge_run(rows: Sequence[IterationScores], config: ConvergenceConfig) -> Verdict:
    """Ask the rule of a run: one row per iteration, 1, 2, ...

    Converged when it held for the last `times_in_a_row` iterations; a failure as soon as the last
    one was.
    """
    judgements = tuple(
        judge_iteration(row, previous, config)
        for previous, row in pairwise(rows)
        if row.iteration >= config.min_encoders
    )
    latest = [judgement.status for judgement in judgements[-config.times_in_a_row :]]
    status: Status = "not_converged"
    if latest and latest[-1] == "failure":
        status = "failure"
    elif len(latest) == config.times_in_a_row and set(latest) == {"converged"}:
        status = "converged"
    return Verdict(status, rows[-1].iteration if rows else 0, judgements)


def judge_iteration(
    row: IterationScores, previous: IterationScores, config: ConvergenceConfig
) -> Judgement:
    """Compare one iteration with the one before it.

    Raises:
        ValueError: the iteration lacks a number that the rule needs.

    """
    gain, error = row.gain_pp, row.gain_standard_error_pp
    agreement, reseeded = row.agreement, row.reseed_agreement
    if gain is None or error is None or agreement is None or reseeded is None:
        raise ValueError(f"iteration {row.iteration}: expected gain and agreements, got {row}")
    allowed_gain = max(config.max_gain_pp, config.gain_standard_errors * error)
    allowed_fall = config.information_standard_errors * row.label_information_standard_error
    return Judgement(
        row.iteration,
        (
            Criterion("a", "probe gain (pp)", gain, "<=", allowed_gain),
            Criterion("b", "token agreement", agreement, ">=", reseeded - config.agreement_margin),
            Criterion(
                "c",
                "perplexity",
                row.perplexity,
                ">=",
                config.min_perplexity_share * row.codebook_size,
            ),
            Criterion("c", "codes in use", row.usage, ">=", config.min_usage),
            Criterion(
                "c",
                "label information",
                row.label_information,
                ">=",
                previous.label_information - allowed_fall,
            ),
        ),
    )
