"""How a model was made, as its model card's README tells it: stages, first to last."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from earshot_training.train.heard_clips import trainings_of

Record = Mapping[str, Any]

OBJECTIVES = {
    "tagging": ("fine-tuning on labels", "finetune"),
    "masked_tokens": ("masked-token pre-training", "pretrain"),
    "convolutions": ("the convolutions, alone", None),
    "tokenizer_distillation": ("distillation of the tokenizer", "train-tokenizer"),
}


class Stage(NamedTuple):
    """One training in a model's history."""

    title: str
    command: str | None
    record: Record


def stages(training: Record) -> list[Stage]:
    """Read a model's history from its record: what gave the first weights comes first."""
    return [_stage(record) for record in _records(training) if "objective" in record]


def history_lines(card: Record) -> list[str]:
    """Tell what was done, how long it took and by what code."""
    imported = [
        f"Imported from `{record['imported_from']['file']}` "
        f"(sha256 `{record['imported_from']['sha256']}`)."
        for record in _records(card["training"])
        if "imported_from" in record
    ]
    trained = _stage_lines(card)
    return [*imported, *([""] if imported and trained else []), *trained] or [
        "The record does not say."
    ]


def _records(training: Record) -> list[Record]:
    records: list[Record] = []
    for record in [*trainings_of(training)][::-1]:
        if isinstance(record.get("convolutions"), Mapping):
            records.append(record["convolutions"])
        records.append(record)
    if isinstance(training.get("tokenizer"), Mapping):
        records.append(training["tokenizer"])
    return records


def _stage_lines(card: Record) -> list[str]:
    training = card["training"]
    found = stages(training)
    if not found:
        return []
    lines = [
        "| stage | steps | clips seen | hours heard | processor hours | code |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *(_row(number, stage) for number, stage in enumerate(found, start=1)),
        "",
        "Every setting and seed of each stage stands in `model.json` under `training` (earlier "
        "stages: `started_from`). The commands, with those settings as CONFIG.toml:",
        "",
        "```",
        *(_command(stage) for stage in found if stage.command),
    ]
    if "calibration" in training:
        lines.append("earshot-train calibrate ARTEFACT --out CALIBRATED")
    lines.append(f"earshot-train export ARTEFACT --out models/{card['name']}")
    return [*lines, "```"]


def _stage(record: Record) -> Stage:
    title, command = OBJECTIVES.get(record["objective"], (record["objective"], None))
    if record.get("steps") == 0 and "convolutions" in record:
        title = "both joined"
    return Stage(title, command, record)


def _command(stage: Stage) -> str:
    options = "--out RUN"
    if stage.command == "train-tokenizer":
        options += " --teacher ARTEFACT"
    if (stage.record.get("config") or {}).get("init"):
        options += " --init ARTEFACT"
    return f"earshot-train {stage.command} CONFIG.toml {options}"


def _row(number: int, stage: Stage) -> str:
    record = stage.record
    code = record.get("code") or {}
    commit = (code.get("commit") or "not recorded")[:12]
    cells = [
        f"{number}. {stage.title}" + ("" if record.get("finished", True) else " (stopped early)"),
        _number(record.get("steps")),
        _number(record.get("clips_seen")),
        _number(record.get("audio_hours_seen"), ".1f"),
        _hours(record.get("cpu_seconds")),
        commit + (" and changes" if code.get("has_changes") else ""),
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, layout: str = "d") -> str:
    return "-" if value is None else format(value, layout)


def _hours(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / 3600:.2f}"
