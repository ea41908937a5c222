"""The model folder: an artefact as ONNX graphs and model.json, all that the service reads."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from earshot_training.atomic_folder import atomic_folder
from earshot_training.audio.fbank import FRAME_LENGTH, FRAME_SHIFT, PATCH_FRAMES, SAMPLE_RATE
from earshot_training.config import to_dict
from earshot_training.errors import UserError
from earshot_training.export.encoder_graph import create_encoder_graph
from earshot_training.export.parity import Parity, Waveform, assert_parity, noise_waveforms
from earshot_training.model.artefact import Artefact

SCHEMA_VERSION = 1
CARD_FILE = "model.json"
PRECISIONS = ("fp32",)
WINDOW_SECONDS = 10
MIN_SAMPLES = FRAME_LENGTH + (PATCH_FRAMES - 1) * FRAME_SHIFT
ROWS_PER_SECOND = SAMPLE_RATE / (PATCH_FRAMES * FRAME_SHIFT)


def write_model_folder(
    out: Path,
    artefact: Artefact,
    *,
    name: str,
    revision: str,
    license: str,  # noqa: A002 (the name in model.json)
    description: str,
    precisions: Sequence[str] = PRECISIONS,
    overwrite: bool = False,
    parity_waveforms: Sequence[Waveform] | None = None,
) -> Parity:
    """Export a fine-tuned artefact to the folder `out`, whole or not at all.

    Before the folder is put in place, the graph's outputs are compared with PyTorch's on
    `parity_waveforms` (16 kHz, at least 2800 samples; bursts of noise if not given); a difference
    above 1e-4 is a ParityError. Returns the differences. Float32 is the only precision yet.
    """
    _assert_exportable(artefact, name, precisions)
    graph = create_encoder_graph(artefact.model)
    with atomic_folder(out, overwrite=overwrite) as fresh:
        encoder = {"fp32": _write_graph(fresh / "encoder.fp32.onnx", graph)}
        card = {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "revision": revision,
            "license": license,
            "description": description,
            "sample_rate": SAMPLE_RATE,
            "min_samples": MIN_SAMPLES,
            "window_seconds": WINDOW_SECONDS,
            "activation": artefact.activation,
            "labels": [],
            "embedding": {"dim": artefact.model.config.dim},
            "rows": {"per_second": ROWS_PER_SECOND},
            "tokens": None,
            "graphs": {"encoder": encoder},
            "training": artefact.training,
            "evaluation": artefact.evaluation,
        }
        text = _card_text(card, _label_entries(artefact))
        (fresh / CARD_FILE).write_text(text, encoding="utf-8")
        written = onnx.load(fresh / "encoder.fp32.onnx")
        return assert_parity(artefact.model, written, parity_waveforms or noise_waveforms())


def _assert_exportable(artefact: Artefact, name: str, precisions: Sequence[str]) -> None:
    if artefact.labels is None:
        raise UserError("Expected a fine-tuned model with labels, got one without")
    if artefact.model.config.patch_size != PATCH_FRAMES:
        raise UserError(
            f"Expected patches of {PATCH_FRAMES} frames, which the service's rows of 160 ms are, "
            f"got {artefact.model.config.patch_size}"
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise UserError(f"Expected a name of a-z, 0-9, '.', '_' and '-', got {name!r}")
    if tuple(precisions) != PRECISIONS:
        raise UserError(f"Expected precisions {PRECISIONS}, got {tuple(precisions)}")


def _write_graph(path: Path, graph: onnx.ModelProto) -> dict[str, Any]:
    content = graph.SerializeToString(deterministic=True)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": path.name, "bytes": len(content), "sha256": digest}


def _label_entries(artefact: Artefact) -> list[dict[str, Any]]:
    return [
        {"class_index": index, **to_dict(label)}
        for index, label in enumerate(artefact.labels or ())
    ]


def _card_text(card: dict[str, Any], labels: list[dict[str, Any]]) -> str:
    """Lay out model.json with one label per line, so that it can be read and compared."""
    lines = ",\n".join(
        f"    {json.dumps(label, ensure_ascii=False, allow_nan=False)}" for label in labels
    )
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    return text.replace('"labels": []', f'"labels": [\n{lines}\n  ]', 1) + "\n"
