"""Attention with BEATs' gated position bias as ONNX nodes, by one fused operator.

Graphs of opset 23 have its Attention operator, which is the faster one on CPUs; it has no count of
valid keys, so the mask is in the bias. Others have com.microsoft.MultiHeadAttention, for which CUDA
has fused kernels that take a bias and keep scores and softmax in float32 (read in onnxruntime's
contrib_ops/cuda/bert/cutlass_fmha/kernel_forward.h, not run here).
"""

from typing import NamedTuple

from earshot_training.export.arithmetic import Arithmetic
from earshot_training.export.front_graph import PatchGrid
from earshot_training.export.graph import ATTENTION_OPSET, MICROSOFT, GraphBuilder
from earshot_training.export.layers_graph import to_numpy
from earshot_training.model.attention import (
    MASKED_SCORE,
    MAX_PATCHES,
    GatedAttention,
    RelativePositionBias,
)

# A gate of at least this much leaves enough of the masked score.
LEAST_GATE = 0.1


class PositionBias(NamedTuple):
    """Biases by distance, the same for all layers, working form."""

    plain: str  # (1, heads, N, N), query before key
    mask: str  # (B, 1, 1, N), zero at audio; empty before opset 23
    masked: str  # (B, heads, N, N), their sum; empty before opset 23


def add_position_bias(
    arithmetic: Arithmetic, bias: RelativePositionBias, grid: PatchGrid
) -> PositionBias:
    """Add the biases of a batch's patch grid."""
    graph = arithmetic.graph
    keys = graph.node("Reshape", grid.positions, graph.integers(1, -1))
    queries = graph.node("Reshape", grid.positions, graph.integers(-1, 1))
    distances = graph.node("Sub", keys, queries)
    index = graph.node("Add", distances, graph.integers(MAX_PATCHES - 1))
    by_distance = to_numpy(bias.table.weight)[bias.bucket_ids.cpu().numpy()]
    table = arithmetic.constant("encoder.relative_bias.by_distance", by_distance)
    gathered = graph.node("Gather", table, index, axis=0)
    heads_first = graph.node("Transpose", gathered, perm=[2, 0, 1])
    plain = graph.node("Unsqueeze", heads_first, graph.integers(0), name="encoder.relative_bias")
    if graph.opset < ATTENTION_OPSET:
        return PositionBias(plain, "", "")
    missing = graph.node("Sub", grid.patch_valid, graph.floats(1.0))
    scores = graph.node("Mul", missing, graph.floats(-MASKED_SCORE))
    mask = graph.node("Reshape", scores, graph.integers(0, 1, 1, -1), name="encoder.mask")
    return PositionBias(plain, mask, graph.node("Add", plain, mask, name="encoder.masked_bias"))


def add_attention(
    arithmetic: Arithmetic,
    name: str,
    attention: GatedAttention,
    x: str,
    position_bias: PositionBias,
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
    if graph.opset >= ATTENTION_OPSET:
        return graph.node(
            "Attention",
            query,
            key,
            value,
            _add_masked_bias(graph, attention, gates, position_bias),
            name=name,
            q_num_heads=attention.heads,
            kv_num_heads=attention.heads,
        )
    return graph.node(
        "MultiHeadAttention",
        query,
        key,
        value,
        "",
        grid.num_patches,
        graph.node("Mul", gates, position_bias.plain),
        name=name,
        domain=MICROSOFT,
        num_heads=attention.heads,
        mask_filter_value=MASKED_SCORE,
    )


def _add_masked_bias(
    graph: GraphBuilder, attention: GatedAttention, gates: str, bias: PositionBias
) -> str:
    """Gate the bias and mask padding: (B, heads, N, N).

    A gate is at least 1, or 1 less how far the head's scale is below zero. Where that is above
    zero, the mask may go through the gate, which saves each layer a pass over the bias.
    """
    least = 1 + min(0.0, float(attention.gate_scale.detach().min()))
    if least >= LEAST_GATE:
        return graph.node("Mul", gates, bias.masked)
    return graph.node("Add", graph.node("Mul", gates, bias.plain), bias.mask)


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
