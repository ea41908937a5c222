"""report.md: what a run came to, in words, tables and plots, from the files of its folder alone."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earshot_training.config import parse_section
from earshot_training.iterate.config import IterateConfig
from earshot_training.iterate.convergence import Judgement
from earshot_training.iterate.cost import FORMULA
from earshot_training.iterate.outcome import Outcome, outcome_of
from earshot_training.iterate.plots import draw_plots
from earshot_training.iterate.run_folder import RunFolder, StageRecord
from earshot_training.iterate.scores import IterationRow, read_rows

REPORT_FILE = "report.md"

LEGEND = """\
- **S**: accuracy of a linear probe on the frozen encoder; **gain** over the previous encoder on the
  same clips, with its paired standard error; **kNN**: vote of the nearest clips by cosine on the
  last layer; **P@k**: share of the {retrieved} nearest clips, own recording left out, that have the
  clip's class.
- **A**: adjusted mutual information of the tokens with those of the previous tokenizer; **A\\***:
  with those of the same tokenizer trained from another seed; both on all patches of the probe's
  clips ({patches} patches).
- **P**: perplexity of those tokens; **U**: share of the codes with at least 1e-5 of the patches;
  **I**: I(token; class) / H(class), with its standard error over clips.
- **M**: accuracy and cross-entropy (nats) of naming hidden patches of the held-out clips, beside
  the unigram entropy, the cross-entropy of guessing by frequency; **fall**: of that cross-entropy
  over the last tenth of the steps, relative."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """All of a run that the report speaks of."""

    config: IterateConfig
    description: dict[str, Any]
    rows: tuple[IterationRow, ...]
    records: tuple[StageRecord, ...]
    outcome: Outcome


def read_run(folder: RunFolder) -> Run:
    """Read a run, finished or not.

    Raises:
        UserError: no run lies here, or its files are not what a run writes.

    """
    description = folder.description()
    config = parse_section(IterateConfig, description["config"], complete=True)
    rows = read_rows(folder)
    return Run(
        config=config,
        description=description,
        rows=rows,
        records=tuple(folder.records()),
        outcome=outcome_of(rows, config),
    )


def write_report(folder: RunFolder) -> Path:
    """Write report.md and its plots anew; returns the report's path.

    Raises:
        UserError: no run lies here, or its files are not what a run writes.

    """
    run = read_run(folder)
    plots = draw_plots(folder, run.rows, run.outcome.best_iteration, run.config)
    path = folder.path / REPORT_FILE
    path.write_text("\n\n".join(_sections(run, plots)) + "\n", encoding="utf-8")
    return path


def verdict_sentence(outcome: Outcome, config: IterateConfig) -> str:
    """Say plainly where a run stands."""
    iteration = outcome.verdict.iteration
    if outcome.state == "converged":
        return f"Converged at iteration {iteration}."
    if outcome.state == "failure":
        return (
            f"Failure at iteration {iteration}: tokens and probe stand still because the codebook "
            "is not healthy, which is no convergence."
        )
    if outcome.state == "not_converged":
        return f"Not converged within {config.max_iterations} iterations."
    return f"Unfinished: {iteration} of at most {config.max_iterations} iterations are done."


def _sections(run: Run, plots: Sequence[Path]) -> Iterable[str]:
    yield "# Tokenizer and encoder in turn"
    yield f"**{verdict_sentence(run.outcome, run.config)}** {_best_sentence(run)}".strip()
    if run.rows:
        yield _fall_sentence(run.rows, run.config.convergence.max_cross_entropy_fall)
        yield _scores_table(run.rows)
        yield _legend(run)
    for judgement in run.outcome.verdict.judgements:
        yield _judgement(judgement)
    yield "## Data\n\n" + _data(run)
    yield from (f"![{path.stem}](plots/{path.name})" for path in plots)
    yield "## Cost\n\n" + _cost_table(run.records)
    yield f"FLOP {FORMULA}."
    yield _config(run)


def _best_sentence(run: Run) -> str:
    best = run.outcome.best_iteration
    if best is None:
        return ""
    row = run.rows[best - 1]
    tokenizer = f"`iteration-{best}/tokenizer/artefact`" if best > 1 else "the random projection"
    return (
        f"Best pair by S: iteration {best}, {_percent(row.accuracy)} "
        f"(`iteration-{best}/encoder/artefact`, tokenizer: {tokenizer})."
    )


def _scores_table(rows: Sequence[IterationRow]) -> str:
    head = (
        "n", "S %", "gain pp", "kNN %", "P@k %", "A", "A*", "P", "U %", "I", "M %", "M nats",
        "unigram nats", "fall %",
    )  # fmt: skip
    return _table(
        head,
        [
            (
                str(row.scores.iteration),
                _percent(row.accuracy, unit=""),
                _with_error(row.scores.gain_pp, row.scores.gain_standard_error_pp, digits=2),
                _percent(row.knn_accuracy, unit=""),
                _percent(row.retrieval_precision, unit=""),
                _number(row.scores.agreement, digits=3),
                _number(row.scores.reseed_agreement, digits=3),
                f"{row.scores.perplexity:.1f}",
                _percent(row.scores.usage, unit=""),
                _with_error(
                    row.scores.label_information,
                    row.scores.label_information_standard_error,
                    digits=4,
                ),
                _percent(row.masked_accuracy, unit=""),
                f"{row.masked_cross_entropy:.3f}",
                f"{row.masked_unigram_entropy:.3f}",
                f"{100 * row.cross_entropy_fall:.2f}",
            )
            for row in rows
        ],
    )


def _legend(run: Run) -> str:
    named = (record for record in run.records if record.stage == "probe-tokens")
    patches = next(named).results["tokens"]
    return LEGEND.format(retrieved=run.config.probe.retrieved, patches=f"{patches:,}")


def _judgement(judgement: Judgement) -> str:
    parts = {"a": "(a) gain", "b": "(b) agreement", "c": "(c) health"}
    lines = [
        (
            parts[criterion.part],
            criterion.what,
            f"{criterion.value:.4g}",
            "at most" if criterion.relation == "<=" else "at least",
            f"{criterion.threshold:.4g}",
            "holds" if criterion.holds else "does not hold",
        )
        for criterion in judgement.criteria
    ]
    status = judgement.status.replace("_", " ")
    head = ("part", "number", "value", "must be", "threshold", "")
    return f"## Rule at iteration {judgement.iteration}: {status}\n\n{_table(head, lines)}"


def _fall_sentence(rows: Sequence[IterationRow], max_fall: float) -> str:
    """Say whether the encoders' losses had settled, or half-trained encoders are compared."""
    late = [
        f"encoder {row.scores.iteration} by {_percent(row.cross_entropy_fall, digits=2)}"
        for row in rows
        if row.cross_entropy_fall >= max_fall
    ]
    if not late:
        return (
            "Over the last tenth of the steps no encoder's held-out cross-entropy fell by "
            f"{_percent(max_fall)} or more: none was left half-way."
        )
    return (
        "Caution: over the last tenth of the steps the held-out cross-entropy still fell by "
        f"{_percent(max_fall)} or more ({', '.join(late)}). Differences between iterations may be "
        "differences of training time."
    )


def _data(run: Run) -> str:
    learnt, held_out, probe = (run.description[key] for key in ("learnt_from", "held_out", "probe"))
    seen, scored = probe["scored_clips_learnt_from"], probe["scored_clips"]
    left_out = run.description["left_out"]
    if seen:
        transductive = (
            f"{seen} of the {scored} scored clips come from recordings that the encoders learnt "
            "from (without labels): for those the probe scores are transductive."
        )
    else:
        transductive = (
            f"None of the {scored} scored clips comes from a recording that an encoder learnt from."
        )
    return "\n".join(
        [
            f"- Learnt from, without labels: {_clips(learnt)}."
            + (f" Left out, because they cannot be opened: {left_out} clips." if left_out else ""),
            f"- Held out (masked-token scores): {_clips(held_out)}.",
            f"- Probed: {_clips(probe)}, {probe['classes']} classes; scored: {scored} clips of "
            f"folds {', '.join(map(str, probe['score_folds']))}, each by what the other folds "
            f"taught. {transductive}{_supervision(run)}",
            f"- Tokens are compared on all {probe['clips']} probed clips, of which "
            f"{probe['probe_clips_learnt_from']} come from recordings that were learnt from.",
        ]
    )


def _supervision(run: Run) -> str:
    """Say what a supervised teacher has seen of the scored clips' labels."""
    teacher = run.config.supervised_teacher
    if teacher is None:
        return ""
    told = run.description["probe"]["scored_clips_in_teacher"]
    return (
        f" From iteration {teacher.from_iteration} on tokenizers learn from a fine-tuned encoder, "
        f"which has seen the labels of the recordings of {told} of the scored clips."
    )


def _clips(record: dict[str, Any]) -> str:
    sources = ", ".join(record["sources"])
    return f"{record['clips']} clips, {record['hours']:.2f} h ({sources})"


def _cost_table(records: Sequence[StageRecord]) -> str:
    lines = [
        (
            str(record.iteration),
            record.stage,
            f"{record.wall_seconds:.0f}",
            str(record.steps or ""),
            str(record.clips),
            f"{record.flop:.2e}",
        )
        for record in records
        if record.clips
    ]
    total = (
        "all",
        "",
        f"{sum(record.wall_seconds for record in records):.0f}",
        str(sum(record.steps for record in records)),
        str(sum(record.clips for record in records)),
        f"{sum(record.flop for record in records):.2e}",
    )
    return _table(("n", "stage", "seconds", "steps", "clips", "FLOP"), [*lines, total])


def _config(run: Run) -> str:
    text = json.dumps(run.description["config"], indent=2)
    return f"<details><summary>Config</summary>\n\n```json\n{text}\n```\n\n</details>"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _percent(share: float, *, unit: str = " %", digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}{unit}"


def _number(value: float | None, *, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _with_error(value: float | None, error: float | None, *, digits: int) -> str:
    if value is None or error is None:
        return ""
    return f"{value:.{digits}f} ± {error:.{digits}f}"
