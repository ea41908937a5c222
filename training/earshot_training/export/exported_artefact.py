"""A model folder back as an artefact: what `export` wrote, to be trained further."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from earshot_training.config import EncoderConfig, FbankStatistics, parse_section
from earshot_training.errors import UserError
from earshot_training.export.convolutions_graph import NAME as CONVOLUTIONS
from earshot_training.export.positions_graph import NAME as CONVOLUTION
from earshot_training.export.positions_graph import kernel_of_spectrum
from earshot_training.export.readme import CARD_FILE
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.attention import GATE_OUTPUTS
from earshot_training.model.beats import Beats

GRAPH_FILE = "encoder.fp32.onnx"
GATE_SUM = GATE_OUTPUTS // 2
NORM_EPS = nn.BatchNorm2d(1).eps


def read_exported_artefact(folder: Path) -> Artefact:
    """Read the float32 encoder of a model folder; its model is in evaluation mode.

    The graph holds the residual scale within layers, sums over the gate's outputs, hidden layers
    with columns to spare and wide position kernels as spectra; all is undone. A gate's sum is
    shared evenly by its outputs, and batch norms, which the graph has within convolutions, do
    nothing: the same answers, though not the weights that were learnt. Buckets that no distance
    falls into are zero. Tokenizers are not read.

    Raises:
        UserError: no model folder, one that was not trained here, a graph of another network.

    """
    card = _read_card(folder / CARD_FILE)
    trained_with = card["training"].get("config", {})
    if "encoder" not in trained_with or "fbank" not in trained_with:
        raise UserError(f"{folder}: expected a model that says how its encoder was trained")
    model = Beats(
        parse_section(EncoderConfig, trained_with["encoder"], complete=True),
        num_labels=len(card["labels"]),
        statistics=parse_section(FbankStatistics, trained_with["fbank"], complete=True),
    )
    model.load_state_dict(_state_of(model, _read_constants(folder / GRAPH_FILE), folder))
    labels = tuple(_label(entry) for entry in card["labels"]) or None
    return Artefact(
        model=model.eval(),
        kind="pretrained" if labels is None else "finetuned",
        activation=None if labels is None else card["activation"],
        labels=labels,
        training={key: value for key, value in card["training"].items() if key != "tokenizer"},
        evaluation=card["evaluation"],
    )


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"expected a model folder with {path.name}: {error}") from error
    return card


def _read_constants(path: Path) -> dict[str, Tensor]:
    try:
        graph = onnx.load(path).graph
    except (OSError, onnx.checker.ValidationError) as error:
        raise UserError(f"expected a graph in {path}: {error}") from error
    return {
        constant.name: torch.from_numpy(numpy_helper.to_array(constant).copy())
        for constant in graph.initializer
    }


def _label(entry: Mapping[str, Any]) -> TrainedLabel:
    return TrainedLabel(**{field.name: entry[field.name] for field in fields(TrainedLabel)})


def _state_of(model: Beats, constants: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    state = {}
    for name, weight in model.state_dict().items():
        read = _weight(model, name, constants)
        if read is None or read.shape != weight.shape:
            came = "none" if read is None else str(tuple(read.shape))
            raise UserError(f"{folder}: expected {name} as {tuple(weight.shape)}, got {came}")
        state[name] = read.contiguous()
    return state


def _weight(model: Beats, name: str, constants: Mapping[str, Tensor]) -> Tensor | None:
    """Find a weight of the state dict among the constants and undo what `export` did to it."""
    if name == "encoder.relative_bias.table.weight":
        return _bucket_table(model, constants)
    if name == f"{CONVOLUTION}.weight":
        return _position_kernel(constants)
    if name.startswith(f"{CONVOLUTIONS}."):
        return _weight_of_convolutions(model, name, constants)
    if name not in constants:
        return None
    weight = constants[name]
    if name.endswith(".weight") and weight.ndim == 2:
        weight = weight.T
    if ".gate." in name:
        return (weight / GATE_SUM).repeat_interleave(GATE_SUM, dim=0)
    if name.endswith(".gate_scale"):
        return weight.flatten()
    if ".expand." in name:
        weight = weight[: model.config.ffn_dim]
    if ".contract.weight" in name:
        weight = weight[:, : model.config.ffn_dim]
    if ".attention.out." in name or ".contract." in name:
        weight = weight * (2 * model.config.layers) ** 0.25
    return weight


def _position_kernel(constants: Mapping[str, Tensor]) -> Tensor | None:
    """Take the kernel as it is, or out of its spectrum."""
    if (spectrum := constants.get(f"{CONVOLUTION}.weights")) is not None:
        return torch.from_numpy(kernel_of_spectrum(spectrum.numpy()))
    kernel = constants.get(f"{CONVOLUTION}.weight")
    # Older graphs convolve sequences, newer ones pictures of height 1.
    return kernel if kernel is None or kernel.ndim == 3 else kernel.squeeze(2)


def _weight_of_convolutions(
    model: Beats, name: str, constants: Mapping[str, Tensor]
) -> Tensor | None:
    """Undo the folding: kernels are the graph's, norms add its bias and are else the identity."""
    layer, kind = name.rsplit(".", 1)
    if not layer.endswith("_norm"):
        kernel = constants.get(name)
        if kernel is None:
            return None
        if layer.endswith(".shortcut"):
            # All cells of a pool have the same weight, a share of the convolution's.
            return kernel.sum(dim=(2, 3), keepdim=True)
        return kernel.transpose(2, 3)
    if kind == "bias":
        return constants.get(f"{layer.removesuffix('_norm')}.bias")
    identity = nn.BatchNorm2d(len(model.state_dict()[f"{layer}.weight"])).state_dict()
    identity["running_var"] -= NORM_EPS
    weight: Tensor = identity[kind]
    return weight


def _bucket_table(model: Beats, constants: Mapping[str, Tensor]) -> Tensor | None:
    by_distance = constants.get("encoder.relative_bias.by_distance")
    bias = model.encoder.relative_bias
    if by_distance is None or len(by_distance) != len(bias.bucket_ids):
        return by_distance
    table = torch.zeros_like(bias.table.weight)
    table[bias.bucket_ids] = by_distance
    return table
