"""How the smaller precisions answer beside float32, as a model card's README tells it."""

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

NOTES = {
    "int8": "int8 (for CPUs): weights by output channel, activations by one range per run. So an "
    "answer is that of a clip alone; in a batch it moves a little with the clips beside it.",
    "fp16": "fp16 (for GPUs): weights and products in half precision; filterbank, norms, gates, "
    "softmax and outputs in float32. Judged on a CPU.",
}


def precision_lines(card: Record) -> list[str]:
    """Give the figures of each precision beside float32; nothing where there is none."""
    graphs = {name: entry for name, entry in card["graphs"]["encoder"].items() if name != "fp32"}
    if not graphs:
        return ["float32 only."]
    lines = [
        "Against float32, each clip alone, over the trained labels:",
        "",
        "| precision | clips | same highest label | mean score difference | mAP, points | "
        "accuracy, points | gate |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        *(_row(name, entry.get("gate")) for name, entry in graphs.items()),
        "",
    ]
    return lines + [f"- {NOTES[name]}" for name in graphs]


def _row(name: str, gate: Record | None) -> str:
    if gate is None:
        return f"| {name} | - | - | - | - | - | not judged |"
    folds = f" (folds {', '.join(map(str, gate['folds']))})" if gate["folds"] else ""
    return (
        f"| {name} | {gate['clips']}{folds} | {100 * gate['top1_agreement']:.2f} % | "
        f"{gate['mean_absolute_score_difference']:.2g} | {_points(gate['map_change'])} | "
        f"{_points(gate['accuracy_change'])} | {'passed' if gate['passed'] else '**missed**'} |"
    )


def _points(change: float | None) -> str:
    return "-" if change is None else f"{100 * change:+.2f}"
