"""The encoder as ONNX nodes: tiles to patch vectors."""

from typing import cast

from torch import nn

from earshot_training.export.front_graph import PatchGrid
from earshot_training.export.graph import MICROSOFT, GraphBuilder
from earshot_training.export.layers_graph import add_gelu, add_layer_norm, add_linear, to_numpy
from earshot_training.model.attention import (
    MASKED_SCORE,
    MAX_PATCHES,
    GatedAttention,
    RelativePositionBias,
)
from earshot_training.model.beats import Beats
from earshot_training.model.encoder import Block, ConvPositions
from earshot_training.model.patch_embed import PatchEmbed


def add_backbone(graph: GraphBuilder, model: Beats, grid: PatchGrid) -> str:
    """Add patch embedding and encoder: patch grid -> patch vectors (B, N, D).

    Vectors of padding are finite and mean nothing.
    """
    encoder = model.encoder
    embeddings = _add_patch_embed(graph, model.patch_embed, grid.tiles)
    x = graph.node("Mul", embeddings, grid.patch_valid, name="encoder.input")
    positions = _add_conv_positions(graph, encoder.position_conv, x)
    x = add_layer_norm(graph, "encoder.norm", encoder.norm, graph.node("Add", x, positions))
    bias = _add_position_bias(graph, encoder.relative_bias, grid.positions)
    for index, layer in enumerate(encoder.layers):
        x = _add_block(graph, f"encoder.layers.{index}", cast(Block, layer), x, bias, grid)
    return x


def _add_patch_embed(graph: GraphBuilder, embed: PatchEmbed, tiles: str) -> str:
    tile = add_linear(graph, "patch_embed.tile", embed.tile, tiles)
    normed = add_layer_norm(graph, "patch_embed.norm", embed.norm, tile)
    if isinstance(embed.project, nn.Linear):
        return add_linear(graph, "patch_embed.project", embed.project, normed)
    return normed


def _add_conv_positions(graph: GraphBuilder, positions: ConvPositions, x: str) -> str:
    """(B, N, D) -> (B, N, D); an even kernel is padded by one less at the end."""
    conv, name = positions.conv, "encoder.position_conv.conv"
    kernel = conv.kernel_size[0]
    weight = graph.constant(f"{name}.weight", to_numpy(conv.weight))
    bias = graph.constant(f"{name}.bias", to_numpy(cast(nn.Parameter, conv.bias)))
    convolved = graph.node(
        "Conv",
        graph.node("Transpose", x, perm=[0, 2, 1]),
        weight,
        bias,
        name=name,
        group=conv.groups,
        pads=[kernel // 2, (kernel - 1) // 2],
    )
    return graph.node("Transpose", add_gelu(graph, f"{name}.gelu", convolved), perm=[0, 2, 1])


def _add_position_bias(graph: GraphBuilder, bias: RelativePositionBias, positions: str) -> str:
    """Bias by distance: (N,) int64 -> (1, heads, N, N), query before key."""
    keys = graph.node("Reshape", positions, graph.integers(1, -1))
    queries = graph.node("Reshape", positions, graph.integers(-1, 1))
    distances = graph.node("Sub", keys, queries)
    index = graph.node("Add", distances, graph.integers(MAX_PATCHES - 1))
    by_distance = to_numpy(bias.table.weight)[bias.bucket_ids.cpu().numpy()]
    table = graph.constant("encoder.relative_bias.by_distance", by_distance)
    gathered = graph.node("Gather", table, index, axis=0)
    heads_first = graph.node("Transpose", gathered, perm=[2, 0, 1])
    return graph.node("Unsqueeze", heads_first, graph.integers(0), name="encoder.relative_bias")


def _add_block(
    graph: GraphBuilder, name: str, block: Block, x: str, bias: str, grid: PatchGrid
) -> str:
    """One DeepNorm block: (B, N, D) -> (B, N, D).

    LN(a * x + y) with epsilon e equals LN(x + y / a) with e / a ** 2: the residual scale a is
    folded into the layer before the sum, which saves a pass over the activations.
    """
    shrink = 1.0 / block.residual_scale
    attended = _add_attention(graph, f"{name}.attention", block.attention, x, bias, grid, shrink)
    x = add_layer_norm(
        graph,
        f"{name}.attention_norm",
        block.attention_norm,
        graph.node("Add", x, attended),
        epsilon_scale=shrink**2,
    )
    hidden = add_gelu(graph, f"{name}.gelu", add_linear(graph, f"{name}.expand", block.expand, x))
    contracted = add_linear(graph, f"{name}.contract", block.contract, hidden, scale=shrink)
    return add_layer_norm(
        graph,
        f"{name}.final_norm",
        block.final_norm,
        graph.node("Add", x, contracted),
        epsilon_scale=shrink**2,
    )


def _add_attention(
    graph: GraphBuilder,
    name: str,
    attention: GatedAttention,
    x: str,
    position_bias: str,
    grid: PatchGrid,
    scale: float,
) -> str:
    query, key, value = (
        add_linear(graph, f"{name}.{part}", getattr(attention, part), x)
        for part in ("query", "key", "value")
    )
    gates = _add_gates(graph, name, attention, query)
    attended = graph.node(
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
    return add_linear(graph, f"{name}.out", attention.out, attended, scale=scale)


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
