"""The encoder's graphs in a model folder, one per precision, each checked before it may stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError
from earshot_training.export.arithmetic import PRECISIONS, GraphPrecision
from earshot_training.export.encoder_graph import create_encoder_graph
from earshot_training.export.graph_file import write_graph
from earshot_training.export.parity import Parity, Waveform, assert_finite, assert_parity
from earshot_training.export.precision_gate import assert_passed, compare, score_graph
from earshot_training.model.artefact import Artefact


@dataclass(frozen=True, kw_only=True)
class Precisions:
    """Which graphs to write, and by which clips to judge the smaller ones."""

    names: tuple[GraphPrecision, ...] = ("fp32",)
    gate_clips: tuple[Clip, ...] = ()
    ungated: bool = False
    """Keep graphs that were not judged, or missed the gate; the card says so."""


class EncoderFiles(NamedTuple):
    """What was written."""

    entries: dict[str, Any]  # of model.json, by precision
    parity: Parity  # of float32


def parse_precisions(text: str) -> tuple[GraphPrecision, ...]:
    """Read `fp32,int8`: the names in a fixed order, fp32 always among them."""
    asked = {"fp32", *text.split(",")}
    if asked - set(PRECISIONS):
        raise UserError(f"Expected precisions among {', '.join(PRECISIONS)}, got {text!r}")
    return tuple(name for name in PRECISIONS if name in asked)


def assert_can_be_judged(artefact: Artefact, precisions: Precisions) -> None:
    """Refuse smaller precisions that nothing can judge, before anything is written."""
    smaller = [name for name in precisions.names if name != "fp32"]
    if not smaller or precisions.ungated:
        return
    if artefact.labels is None:
        raise UserError(
            f"Expected a model with labels to judge {', '.join(smaller)} by, got one without; "
            "--ungated writes them all the same"
        )
    if not precisions.gate_clips:
        raise UserError(
            f"Expected labelled clips to judge {', '.join(smaller)} by (--gate-manifest), got "
            "none; --ungated writes them all the same"
        )


def write_encoder_files(
    folder: Path, artefact: Artefact, precisions: Precisions, waveforms: Sequence[Waveform]
) -> EncoderFiles:
    """Write and check the graphs.

    Raises:
        ParityError: float32 differs from PyTorch, or another precision gives no numbers.
        GateError: a precision answers otherwise than float32.

    """
    float32 = folder / "encoder.fp32.onnx"
    entries = {"fp32": write_graph(float32, create_encoder_graph(artefact.model))}
    parity = assert_parity(artefact.model, float32, waveforms)
    judged = artefact.labels is not None and len(precisions.gate_clips) > 0
    expected = score_graph(float32, precisions.gate_clips) if judged else None
    for name in precisions.names:
        if name == "fp32":
            continue
        path = folder / f"encoder.{name}.onnx"
        entries[name] = write_graph(path, create_encoder_graph(artefact.model, name))
        assert_finite(path, waveforms)
        if expected is not None:
            assert artefact.labels is not None
            assert artefact.activation is not None
            came = score_graph(path, precisions.gate_clips)
            figures = compare(expected, came, artefact.labels, artefact.activation)
            if not precisions.ungated:
                assert_passed(name, figures)
            entries[name]["gate"] = figures.to_record()
    return EncoderFiles(entries, parity)
