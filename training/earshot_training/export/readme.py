"""README.md of a model folder: a model card that people read, made of model.json alone.

Sections follow Mitchell 2019 (arXiv 1810.03993). What model.json does not say is said to be
missing, never guessed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earshot_training.errors import UserError
from earshot_training.export.readme_history import history_lines
from earshot_training.export.readme_labels import data_lines, label_lines
from earshot_training.export.readme_precisions import precision_lines
from earshot_training.export.readme_scores import calibration_lines, score_lines

CARD_FILE = "model.json"
README_FILE = "README.md"

Card = Mapping[str, Any]


def write_readme(folder: Path) -> Path:
    """Write README.md of a model folder anew, from its model.json.

    Raises:
        UserError: no model.json that can be read.

    """
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        text = readme_text(card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: expected a model card, got: {error!r}") from error
    (folder / README_FILE).write_text(text, encoding="utf-8")
    return folder / README_FILE


def readme_text(card: Card) -> str:
    """Lay out a model card as Markdown."""
    sections = {
        "Intended use": _use_lines(card),
        "Out of scope": _out_of_scope_lines(card),
        "Training data": data_lines(card),
        "What it can and cannot hear": label_lines(card),
        "Scores": score_lines(card),
        "Calibration": calibration_lines(card),
        "How it was made": history_lines(card),
        "Precisions": precision_lines(card),
        "Files": _file_lines(card),
    }
    lines = [f"# {card['name']}", "", card["description"], ""]
    lines += [f"Revision {card['revision']}. Weights: {card['license']}."]
    for title, section in sections.items():
        lines += ["", f"## {title}", "", *section]
    lines += [
        "",
        "Written from `model.json` by `earshot-train card`; change that file, not this one.",
    ]
    return "\n".join(lines) + "\n"


def _use_lines(card: Card) -> list[str]:
    trained = sum(label["trained"] for label in card["labels"])
    uses = [
        f"embeddings of {card['embedding']['dim']} numbers per clip or row of 160 ms, for search"
    ]
    if trained:
        uses.insert(0, f"tags of a recording and events in it, for {trained} of AudioSet's labels")
    if card["tokens"] is not None:
        uses.append(f"acoustic tokens from a codebook of {card['tokens']['codebook_size']}")
    return [
        f"Answers for sound of any kind, served by Earshot: {'; '.join(uses)}. It takes mono sound "
        f"at {card['sample_rate']} Hz, from {card['min_samples'] / card['sample_rate']:.3f} s on; "
        f"longer sound is heard in windows of {card['window_seconds']} s.",
    ]


def _out_of_scope_lines(card: Card) -> list[str]:
    lines = [
        "- Decisions about people or safety (alarms, medicine, surveillance, evidence) that rest "
        "on its answers alone.",
        "- Who speaks, and what is said.",
        "- Silence as proof: a sound that is not named may be there all the same.",
    ]
    if card["labels"]:
        lines.append(
            "- Labels that were not trained: their scores mean nothing and tags leave them out."
        )
    return lines


def _file_lines(card: Card) -> list[str]:
    lines = ["| file | is | bytes | sha256 |", "| --- | --- | ---: | --- |"]
    for graph, precisions in card["graphs"].items():
        for precision, entry in precisions.items():
            lines.append(_file_row(entry, f"{graph}, {precision}"))
            if "external_data" in entry:
                lines.append(_file_row(entry["external_data"], f"weights of the {graph}"))
    return lines


def _file_row(file: Card, what: str) -> str:
    return f"| `{file['file']}` | {what} | {file['bytes']} | `{file['sha256']}` |"
