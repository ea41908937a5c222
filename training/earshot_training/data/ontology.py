"""Which AudioSet labels may also be true when one is: its ancestors and its descendants."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources


def relatives(mids: Iterable[str]) -> frozenset[str]:
    """Ancestors and descendants of the labels, themselves left out.

    A clip labelled Crow is a Bird too, and a clip labelled Bird may be a Crow: where a list names
    only one of them, the other is unknown, not absent.
    """
    named = frozenset(mids)
    children, parents = _edges()
    related: set[str] = set()
    for mid in named:
        related |= _reachable(mid, children) | _reachable(mid, parents)
    return frozenset(related - named)


@cache
def _edges() -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    text = resources.files("earshot_training.labels").joinpath("ontology_edges.csv").read_text()
    children: dict[str, list[str]] = defaultdict(list)
    parents: dict[str, list[str]] = defaultdict(list)
    for row in csv.DictReader(text.splitlines()):
        children[row["parent_mid"]].append(row["child_mid"])
        parents[row["child_mid"]].append(row["parent_mid"])
    return (
        {mid: tuple(found) for mid, found in children.items()},
        {mid: tuple(found) for mid, found in parents.items()},
    )


def _reachable(start: str, neighbours: Mapping[str, tuple[str, ...]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(neighbours.get(start, ()))
    while waiting:
        mid = waiting.pop()
        if mid not in seen:
            seen.add(mid)
            waiting.extend(neighbours.get(mid, ()))
    return seen
