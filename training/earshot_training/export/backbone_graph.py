"""The encoder as ONNX nodes: tiles to patch vectors."""

from typing import cast

import numpy as np
from torch import nn

from earshot_training.export.arithmetic import Arithmetic
from earshot_training.export.front_graph import PatchGrid
from earshot_training.export.graph import MICROSOFT, GraphBuilder
from earshot_training.export.layers_graph import (
    add_gelu,
    add_layer_norm,
    add_linear,
    to_numpy,
)
from earshot_training.model.attention import (
    MASKED_SCORE,
    MAX_PATCHES,
    GatedAttention,
    RelativePositionBias,
)
from earshot_training.model.beats import Beats
from earshot_training.model.encoder import Block, ConvPositions
from earshot_training.model.patch_embed import PatchEmbed


def add_backbone(arithmetic: Arithmetic, model: Beats, grid: PatchGrid) -> str:
    """Add patch embedding and encoder: patch grid -> patch vectors (B, N, D), float32.

    Vectors of padding are finite and mean nothing.
    """
    graph, encoder = arithmetic.graph, model.encoder
    embeddings = _add_patch_embed(arithmetic.outer, model.patch_embed, grid.tiles)
    x = graph.node("Mul", embeddings, grid.patch_valid, name="encoder.input")
    positions = _add_conv_positions(arithmetic.outer, encoder.position_conv, x)
    x = add_layer_norm(graph, "encoder.norm", encoder.norm, graph.node("Add", x, positions))
    bias = _add_position_bias(arithmetic, encoder.relative_bias, grid.positions)
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


def _add_conv_positions(arithmetic: Arithmetic, positions: ConvPositions, x: str) -> str:
    """(B, N, D) -> (B, N, D), float32; an even kernel is padded by one less at the end.

    A convolution over pictures of height 1: for these, ONNX Runtime's CPU provider has a direct
    kernel where sequences go through a matrix of all windows, which takes twice as long.
    """
    graph, conv, name = arithmetic.graph, positions.conv, "encoder.position_conv.conv"
    kernel = conv.kernel_size[0]
    weight = arithmetic.constant(f"{name}.weight", to_numpy(conv.weight)[:, :, None])
    bias = arithmetic.constant(f"{name}.bias", to_numpy(cast(nn.Parameter, conv.bias)))
    channels_first = graph.node("Transpose", arithmetic.narrow(x), perm=[0, 2, 1])
    convolved = graph.node(
        "Conv",
        graph.node("Unsqueeze", channels_first, graph.integers(2)),
        weight,
        bias,
        name=name,
        group=conv.groups,
        pads=[0, kernel // 2, 0, (kernel - 1) // 2],
    )
    sequence = graph.node("Squeeze", convolved, graph.integers(2))
    activated = add_gelu(graph, f"{name}.gelu", arithmetic.wide(sequence))
    return graph.node("Transpose", activated, perm=[0, 2, 1])


def _add_position_bias(arithmetic: Arithmetic, bias: RelativePositionBias, positions: str) -> str:
    """Bias by distance: (N,) int64 -> (1, heads, N, N), query before key, working form."""
    graph = arithmetic.graph
    keys = graph.node("Reshape", positions, graph.integers(1, -1))
    queries = graph.node("Reshape", positions, graph.integers(-1, 1))
    distances = graph.node("Sub", keys, queries)
    index = graph.node("Add", distances, graph.integers(MAX_PATCHES - 1))
    by_distance = to_numpy(bias.table.weight)[bias.bucket_ids.cpu().numpy()]
    table = arithmetic.constant("encoder.relative_bias.by_distance", by_distance)
    gathered = graph.node("Gather", table, index, axis=0)
    heads_first = graph.node("Transpose", gathered, perm=[2, 0, 1])
    return graph.node("Unsqueeze", heads_first, graph.integers(0), name="encoder.relative_bias")


def _add_block(
    arithmetic: Arithmetic, name: str, block: Block, x: str, bias: str, grid: PatchGrid
) -> str:
    """One DeepNorm block: (B, N, D) -> (B, N, D), float32.

    LN(a * x + y) with epsilon e equals LN(x + y / a) with e / a ** 2: the residual scale a is
    folded into the layer before the sum, which saves a pass over the activations.
    """
    shrink = 1.0 / block.residual_scale
    attended = _add_attention(arithmetic, f"{name}.attention", block.attention, x, bias, grid)
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


def _add_attention(
    arithmetic: Arithmetic,
    name: str,
    attention: GatedAttention,
    x: str,
    position_bias: str,
    grid: PatchGrid,
) -> str:
    """All of attention but the last layer: float32 (B, N, D) -> working (B, N, D)."""
    graph = arithmetic.graph
    operand = arithmetic.operand(arithmetic.narrow(x))
    query, key, value = (
        arithmetic.product(
            f"{name}.{part}", operand, to_numpy(layer.weight).T, to_numpy(layer.bias)
        )
        for part, layer in (
            ("query", attention.query),
            ("key", attention.key),
            ("value", attention.value),
        )
    )
    gates = arithmetic.narrow(_add_gates(graph, name, attention, arithmetic.wide(query)))
    return graph.node(
        "MultiHeadAttention",
        query,
        key,
        value,
        "",
        grid.num_patches,
        graph.node("Mul", gates, position_bias),
        name=name,
        domain=MICROSOFT,
        num_heads=attention.heads,
        mask_filter_value=MASKED_SCORE,
    )


def _add_gates(graph: GraphBuilder, name: str, attention: GatedAttention, query: str) -> str:
    """(B, N, D) -> (B, heads, N, 1)."""
    heads = graph.integers(0, -1, attention.heads, attention.head_dim)
    gate_weight, gate_bias = attention.summed_gate()
    weight = graph.constant(f"{name}.gate.weight", to_numpy(gate_weight).T)
    bias = graph.constant(f"{name}.gate.bias", to_numpy(gate_bias))
    scale = graph.constant(f"{name}.gate_scale", to_numpy(attention.gate_scale)[:, None])
    by_head = graph.node("Reshape", query, heads)
    product = graph.node("MatMul", by_head, weight, name=f"{name}.gate.product")
    logits = graph.node("Add", product, bias)
    gate_a, gate_b = graph.split(
        graph.node("Sigmoid", logits), 2, axis=-1, name=f"{name}.gate.halves"
    )
    inner = graph.node("Sub", graph.node("Mul", gate_b, scale), graph.floats(1.0))
    gates = graph.node("Add", graph.node("Mul", gate_a, inner), graph.floats(2.0))
    return graph.node("Transpose", gates, perm=[0, 2, 1, 3], name=f"{name}.gates")
