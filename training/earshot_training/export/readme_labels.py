"""What a model has learnt from, what it can hear, and what it cannot."""

from collections.abc import Mapping, Sequence
from typing import Any

from earshot_training.export.readme_history import stages

EXAMPLES = 15
WEAKEST = 10

Record = Mapping[str, Any]


def data_lines(card: Record) -> list[str]:
    """List the clips of every stage, each list once, by source and licence."""
    titles: dict[str, list[str]] = {}
    lists: dict[str, Record] = {}
    for number, stage in enumerate(stages(card["training"]), start=1):
        data = stage.record["data"]
        titles.setdefault(data["clips_sha256"], []).append(f"Stage {number} ({stage.title})")
        lists[data["clips_sha256"]] = data
    if not lists:
        return ["The record does not say."]
    return [
        line
        for digest, data in lists.items()
        for line in _list_lines(", ".join(titles[digest]), data)
    ][:-1]


def label_lines(card: Record) -> list[str]:
    """Tell trained labels from others, and the weak among the trained."""
    labels = card["labels"]
    if not labels:
        return ["The model was not trained on labels: it gives no tags and no events."]
    trained = [label for label in labels if label["trained"]]
    untrained = [label["name"] for label in labels if not label["trained"]]
    lines = [f"{len(trained)} of {len(labels)} labels had positive examples."]
    if untrained:
        lines += [
            "",
            f"{len(untrained)} had none and cannot be heard, among them "
            f'{"; ".join(_spread(untrained))}. `model.json` marks each with `"trained": false`.',
        ]
    scored = [label for label in trained if label["average_precision"] is not None]
    if scored:
        weakest = sorted(scored, key=lambda label: float(label["average_precision"]))[:WEAKEST]
        lines += [
            "",
            f"The weakest of the {len(scored)} trained labels that were scored:",
            "",
            "| label | average precision | positives in training |",
            "| --- | ---: | ---: |",
            *(
                f"| {label['name']} | {label['average_precision']:.2f} | {label['positives']} |"
                for label in weakest
            ),
        ]
    if len(scored) < len(trained):
        lines += [
            "",
            f"{len(trained) - len(scored)} trained labels were not scored: no scored clip "
            "has them.",
        ]
    return lines


def clips_of(data: Record) -> str:
    """Name a list of clips: how many, from where, and the hash that tells it from others."""
    named = {0: "", 1: ", fold "}.get(len(data["folds"]), ", folds ")
    return (
        f"{data['clips']} clips of {', '.join(data['sources'])}{named}"
        f"{', '.join(map(str, data['folds']))} (list `{data['clips_sha256']}`)"
    )


def _list_lines(title: str, data: Record) -> list[str]:
    lines = [f"{title}: {data['hours']:.2f} hours, {clips_of(data)}.", ""]
    if "by_license" not in data:
        return [*lines, f"Licences: {', '.join(data['licenses']) or 'not recorded'}.", ""]
    return [
        *lines,
        "| source | licence of the clips | clips | hours |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {row['source']} | {row['license'] or 'not recorded'} | {row['clips']} | "
            f"{row['hours']:.2f} |"
            for row in data["by_license"]
        ),
        "",
    ]


def _spread(names: Sequence[str]) -> list[str]:
    """Take examples from the whole list: labels of one kind stand together."""
    count = min(EXAMPLES, len(names))
    return [names[index * len(names) // count] for index in range(count)]
