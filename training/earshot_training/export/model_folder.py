"""The model folder: an artefact as ONNX graphs, model.json, its README.md, checksums."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from earshot_training.atomic_folder import atomic_folder
from earshot_training.audio.fbank import FRAME_LENGTH, FRAME_SHIFT, PATCH_FRAMES, SAMPLE_RATE
from earshot_training.config import to_dict
from earshot_training.errors import UserError
from earshot_training.export.checksums import write_checksums
from earshot_training.export.encoder_files import (
    Precisions,
    assert_can_be_judged,
    write_encoder_files,
)
from earshot_training.export.graph_file import write_graph
from earshot_training.export.parity import Parity, Waveform, noise_waveforms
from earshot_training.export.readme import CARD_FILE, write_readme
from earshot_training.export.token_parity import TokenParity, assert_token_parity
from earshot_training.export.tokenizer_graph import create_tokenizer_graph
from earshot_training.model.artefact import Artefact
from earshot_training.tokenizer.artefact import TokenizerArtefact

SCHEMA_VERSION = 1
WINDOW_SECONDS = 10
MIN_SAMPLES = FRAME_LENGTH + (PATCH_FRAMES - 1) * FRAME_SHIFT
ROWS_PER_SECOND = SAMPLE_RATE / (PATCH_FRAMES * FRAME_SHIFT)


class FolderParity(NamedTuple):
    """How the graphs of a folder compare with PyTorch."""

    encoder: Parity
    tokenizer: TokenParity | None


def write_model_folder(
    out: Path,
    artefact: Artefact,
    *,
    name: str,
    revision: str,
    license: str,  # noqa: A002 (the name in model.json)
    description: str,
    tokenizer: TokenizerArtefact | None = None,
    precisions: Precisions | None = None,
    overwrite: bool = False,
    parity_waveforms: Sequence[Waveform] | None = None,
) -> FolderParity:
    """Export an artefact, with a tokenizer if given, to the folder `out`, whole or not at all.

    A model that was not fine-tuned has an empty list of labels and gives embeddings only. Before
    the folder is put in place, the graphs' outputs are compared with PyTorch's on
    `parity_waveforms` (16 kHz, at least 2800 samples; bursts of noise if not given); a difference
    above 1e-4 is a ParityError. Precisions beside float32 have to pass the gate
    (`precision_gate`) on labelled clips. Returns the differences of float32.
    """
    precisions = precisions or Precisions()
    _assert_exportable(artefact, tokenizer, name)
    assert_can_be_judged(artefact, precisions)
    waveforms = parity_waveforms or noise_waveforms()
    with atomic_folder(out, overwrite=overwrite) as fresh:
        encoder = write_encoder_files(fresh, artefact, precisions, waveforms)
        graphs = {"encoder": encoder.entries}
        tokenizer_path, tokenizer_parity = fresh / "tokenizer.fp32.onnx", None
        if tokenizer is not None:
            graph = create_tokenizer_graph(tokenizer.tokenizer)
            graphs["tokenizer"] = {"fp32": write_graph(tokenizer_path, graph)}
            tokenizer_parity = assert_token_parity(tokenizer.tokenizer, tokenizer_path, waveforms)
        identity = {
            "name": name,
            "revision": revision,
            "license": license,
            "description": description,
        }
        text = _card_text(_card(artefact, tokenizer, identity, graphs), _label_entries(artefact))
        (fresh / CARD_FILE).write_text(text, encoding="utf-8")
        write_readme(fresh)
        write_checksums(fresh)
    return FolderParity(encoder.parity, tokenizer_parity)


def _card(
    artefact: Artefact,
    tokenizer: TokenizerArtefact | None,
    identity: Mapping[str, str],
    graphs: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything but the labels."""
    training, tokens = artefact.training, None
    if tokenizer is not None:
        training = {**training, "tokenizer": tokenizer.training}
        tokens = {
            "codebook_size": tokenizer.tokenizer.codebook_size,
            "bands": tokenizer.tokenizer.bands,
        }
    return {
        "schema_version": SCHEMA_VERSION,
        **identity,
        "sample_rate": SAMPLE_RATE,
        "min_samples": MIN_SAMPLES,
        "window_seconds": WINDOW_SECONDS,
        # Without labels there is nothing to activate; the card has to name one all the same.
        "activation": artefact.activation or "sigmoid",
        "labels": [],
        "embedding": {"dim": artefact.model.config.embedding_dim},
        "rows": {"per_second": ROWS_PER_SECOND},
        "tokens": tokens,
        "graphs": graphs,
        "training": training,
        "evaluation": artefact.evaluation,
    }


def _assert_exportable(
    artefact: Artefact,
    tokenizer: TokenizerArtefact | None,
    name: str,
) -> None:
    encoders = [artefact.model] + ([] if tokenizer is None else [tokenizer.tokenizer.encoder])
    for encoder in encoders:
        if encoder.config.patch_size != PATCH_FRAMES:
            raise UserError(
                f"Expected patches of {PATCH_FRAMES} frames, which the service's rows of 160 ms "
                f"are, got {encoder.config.patch_size}"
            )
        if encoder.statistics != artefact.model.statistics:
            raise UserError(
                f"Expected a tokenizer with the model's {artefact.model.statistics}, "
                f"got {encoder.statistics}"
            )
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise UserError(f"Expected a name of a-z, 0-9, '.', '_' and '-', got {name!r}")


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
    if labels:
        text = text.replace('"labels": []', f'"labels": [\n{lines}\n  ]', 1)
    return text + "\n"
