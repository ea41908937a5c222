"""Which clips a model has learnt from, by its record and those of the trainings before it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from earshot_training.data.manifest import Clip

Record = Mapping[str, Any]


def overlaps_training(
    clips: Sequence[Clip], training: Record, *, objective: str | None = None
) -> bool | None:
    """Whether any training in a model's history heard a set and fold of these clips.

    With `objective`, only trainings of that objective count ("tagging": those that heard labels).
    None where a record cannot tell, and no other one says yes.
    """
    return any_of(
        [
            _overlaps(clips, record)
            for record in trainings_of(training)
            if objective is None or record.get("objective") == objective
        ]
    )


def any_of(answers: Sequence[bool | None]) -> bool | None:
    """Whether one says yes; None where none does and one cannot tell."""
    if True in answers:
        return True
    return None if None in answers else False


def trainings_of(training: Record) -> Iterator[Record]:
    """Give a model's record and those of the trainings before it, the latest first."""
    record: Any = training
    while isinstance(record, Mapping):
        yield record
        record = record.get("started_from")


def _overlaps(clips: Sequence[Clip], record: Record) -> bool | None:
    data = record.get("data")
    if not isinstance(data, Mapping) or "sources" not in data or "folds" not in data:
        return None
    seen = [clip for clip in clips if clip.source in data["sources"]]
    if not data["folds"]:
        return bool(seen)
    return any(clip.fold is None or clip.fold in data["folds"] for clip in seen)
