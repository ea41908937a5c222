"""The encoder as ONNX nodes: tiles to patch vectors."""

from typing import cast

import numpy as np
from torch import nn

from earshot_training.export.arithmetic import Arithmetic
from earshot_training.export.attention_graph import (
    PositionBias,
    add_attention,
    add_position_bias,
)
from earshot_training.export.front_graph import PatchGrid
from earshot_training.export.layers_graph import (
    add_gelu,
    add_layer_norm,
    add_linear,
    to_numpy,
)
from earshot_training.export.positions_graph import add_conv_positions
from earshot_training.model.beats import Beats
from earshot_training.model.encoder import Block
from earshot_training.model.patch_embed import PatchEmbed


def add_backbone(arithmetic: Arithmetic, model: Beats, grid: PatchGrid) -> str:
    """Add patch embedding and encoder: patch grid -> patch vectors (B, N, D), float32.

    Vectors of padding are finite and mean nothing.
    """
    graph, encoder = arithmetic.graph, model.encoder
    embeddings = _add_patch_embed(arithmetic.outer, model.patch_embed, grid.tiles)
    x = graph.node("Mul", embeddings, grid.patch_valid, name="encoder.input")
    positions = add_conv_positions(arithmetic.outer, encoder.position_conv, x, grid.positions)
    x = add_layer_norm(graph, "encoder.norm", encoder.norm, graph.node("Add", x, positions))
    bias = add_position_bias(arithmetic, encoder.relative_bias, grid)
    for index, layer in enumerate(encoder.layers):
        x = _add_block(arithmetic, f"encoder.layers.{index}", cast(Block, layer), x, bias, grid)
    return x


def _add_patch_embed(arithmetic: Arithmetic, embed: PatchEmbed, tiles: str) -> str:
    graph = arithmetic.graph
    tile = add_linear(arithmetic, "patch_embed.tile", embed.tile, tiles)
    normed = add_layer_norm(graph, "patch_embed.norm", embed.norm, tile)
    if isinstance(embed.project, nn.Linear):
        return add_linear(arithmetic, "patch_embed.project", embed.project, normed)
    return normed


def _add_block(
    arithmetic: Arithmetic, name: str, block: Block, x: str, bias: PositionBias, grid: PatchGrid
) -> str:
    """One DeepNorm block: (B, N, D) -> (B, N, D), float32.

    LN(a * x + y) with epsilon e equals LN(x + y / a) with e / a ** 2: the residual scale a is
    folded into the layer before the sum, which saves a pass over the activations.
    """
    shrink = 1.0 / block.residual_scale
    attended = add_attention(arithmetic, f"{name}.attention", block.attention, x, bias, grid)
    x = _add_residual(
        arithmetic,
        (f"{name}.attention.out", block.attention.out),
        (f"{name}.attention_norm", block.attention_norm),
        x,
        attended,
        shrink,
    )
    hidden = _add_hidden(arithmetic, f"{name}.expand", block.expand, x)
    return _add_residual(
        arithmetic,
        (f"{name}.contract", block.contract),
        (f"{name}.final_norm", block.final_norm),
        x,
        hidden,
        shrink,
    )


def _add_residual(
    arithmetic: Arithmetic,
    linear: tuple[str, nn.Linear],
    norm: tuple[str, nn.LayerNorm],
    x: str,
    y: str,
    shrink: float,
) -> str:
    """LN(x + shrink * Linear(y)): float32 (B, N, D), working (B, N, inner) -> float32 (B, N, D).

    The layer may take zero columns more than PyTorch's has.
    """
    graph = arithmetic.graph
    name, layer = linear
    weight, bias = to_numpy(layer.weight * shrink).T, to_numpy(layer.bias * shrink)
    padding = arithmetic.inner_columns(len(weight))
    rows = np.pad(weight, ((0, padding), (0, 0)))
    product = arithmetic.wide(arithmetic.product(name, arithmetic.operand(y), rows, bias))
    return add_layer_norm(graph, *norm, graph.node("Add", x, product), epsilon_scale=shrink**2)


def _add_hidden(arithmetic: Arithmetic, name: str, layer: nn.Linear, x: str) -> str:
    """GELU(Linear(x)), with zero columns after its own: float32 (B, N, D) -> working."""
    weight, bias = to_numpy(layer.weight).T, to_numpy(layer.bias)
    padding = arithmetic.inner_columns(len(bias))
    operand = arithmetic.operand(arithmetic.narrow(x))
    expanded = arithmetic.product(
        name, operand, np.pad(weight, ((0, 0), (0, padding))), np.pad(bias, (0, padding))
    )
    return add_gelu(arithmetic.graph, f"{name}.gelu", expanded)
