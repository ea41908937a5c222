"""AudioSet's label list."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

NUM_LABELS = 527


@dataclass(frozen=True)
class Label:
    """One AudioSet label."""

    index: int
    mid: str
    name: str


@cache
def audioset_labels() -> tuple[Label, ...]:
    """List AudioSet's 527 labels, in the order of its class_labels_indices.csv."""
    source = resources.files("earshot_training.labels") / "class_labels_indices.csv"
    rows = csv.DictReader(source.read_text(encoding="utf-8").splitlines())
    labels = tuple(Label(int(row["index"]), row["mid"], row["display_name"]) for row in rows)
    if [label.index for label in labels] != list(range(NUM_LABELS)):
        raise ValueError(f"Expected indices 0 to {NUM_LABELS - 1} in order in {source}")
    if len({label.mid for label in labels}) != NUM_LABELS:
        raise ValueError(f"Expected {NUM_LABELS} distinct MIDs in {source}")
    return labels
