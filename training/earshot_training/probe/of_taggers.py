"""A cross-validation's taggers, frozen, each probed on the fold it had not heard."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.model.artefact import load_artefact
from earshot_training.probe.probe import ProbeClips, ProbeConfig, probe_encoder
from earshot_training.train.cross_validation_summary import fold_folder
from earshot_training.train.run_folder import ARTEFACT_FOLDER

SHARES = ("linear_accuracy", "knn_accuracy", "retrieval_precision")


def probe_taggers(
    run: Path,
    folds: Sequence[int],
    clips: ProbeClips,
    config: ProbeConfig,
    *,
    device: torch.device,
) -> dict[str, Any]:
    """Probe the tagger of each fold on that fold, by what the other folds taught, for JSON.

    The mean is over all scored clips.
    """
    rows = []
    for fold in folds:
        model = load_artefact(fold_folder(run, fold) / ARTEFACT_FOLDER).model
        result = probe_encoder(model, clips, replace(config, score_folds=(fold,)), device=device)
        rows.append(
            {
                "fold": fold,
                "scored_clips": len(result.scored),
                **{name: float(getattr(result, name)) for name in SHARES},
            }
        )
    return {
        "of": "each fold's tagger, frozen, which has learnt the labels of the others",
        "layers": config.layers,
        "neighbours": config.neighbours,
        "retrieved": config.retrieved,
        "folds": rows,
        "all": {"scored_clips": _total(rows), **{name: _mean(rows, name) for name in SHARES}},
    }


def _total(rows: Sequence[dict[str, float]]) -> float:
    return sum(row["scored_clips"] for row in rows)


def _mean(rows: Sequence[dict[str, float]], name: str) -> float:
    return sum(row["scored_clips"] * row[name] for row in rows) / _total(rows)
