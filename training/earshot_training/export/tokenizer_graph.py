"""A distilled tokenizer as the tokenizer graph of the model folder."""

import numpy as np
import onnx
from torch import nn

from earshot_training.export.arithmetic import OPSETS, Arithmetic, create_arithmetic
from earshot_training.export.backbone_graph import add_backbone
from earshot_training.export.front_graph import PatchGrid, add_front
from earshot_training.export.graph import FLOAT, INT64, GraphBuilder
from earshot_training.export.layers_graph import add_linear, to_numpy
from earshot_training.tokenizer.codebook import Codebook
from earshot_training.tokenizer.distilled import DistilledTokenizer

# Of torch's normalize.
LEAST_NORM = 1e-12


def create_tokenizer_graph(tokenizer: DistilledTokenizer) -> onnx.ModelProto:
    """Write the graph from the weights: opset 23 and com.microsoft 1, float32.

    Inputs as of the encoder graph: `waveform` float32 (batch, samples) in [-1, 1] at 16 kHz,
    `num_samples` int64 (batch,); one row to 4096 patches (81.9 s). Output: `tokens` int64 (batch,
    rows, bands); rows past a clip's end are zero. No Shape node, as in the encoder graph.
    """
    graph = GraphBuilder(OPSETS["fp32"])
    arithmetic = create_arithmetic(graph, "fp32")
    encoder = tokenizer.encoder
    waveform = graph.input("waveform", FLOAT, ["batch", "samples"])
    num_samples = graph.input("num_samples", INT64, ["batch"])
    grid = add_front(graph, encoder.fbank, encoder.config, waveform, num_samples)
    vectors = _add_head(arithmetic, tokenizer.head, add_backbone(arithmetic, encoder, grid))
    token_ids = _add_nearest(graph, tokenizer.codebook, vectors)
    _add_tokens(graph, grid, token_ids, tokenizer.bands)
    graph.output("tokens", INT64, ["batch", "rows", tokenizer.bands])
    return graph.build("tokenizer", "BEATs tokenizer: waveform to one token per patch")


def _add_head(arithmetic: Arithmetic, head: nn.Sequential, patch_vectors: str) -> str:
    """(B, N, D) -> unit vectors (B, N, codebook_dim)."""
    graph, first, last = arithmetic.graph, head[0], head[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    hidden = graph.node("Tanh", add_linear(arithmetic, "head.0", first, patch_vectors))
    vectors = add_linear(arithmetic, "head.2", last, hidden)
    norm = graph.node("ReduceL2", vectors, graph.integers(-1), keepdims=1)
    return graph.node("Div", vectors, graph.node("Max", norm, graph.floats(LEAST_NORM)))


def _add_nearest(graph: GraphBuilder, codebook: Codebook, unit_vectors: str) -> str:
    """Code vector at the least squared distance: (B, N, codebook_dim) -> (B, N) int64.

    |v|^2 is the same for all codes; what is left is |c|^2 - 2 v.c, as in PyTorch.
    """
    code_vectors = to_numpy(codebook.code_vectors)
    scaled = graph.constant("codebook.minus_twice", (-2 * code_vectors).T)
    norms = graph.constant("codebook.norms", np.square(code_vectors).sum(axis=1))
    product = graph.node("MatMul", unit_vectors, scaled, name="codebook.product")
    distances = graph.node("Add", product, norms, name="codebook.distances")
    return graph.node("ArgMin", distances, axis=-1, keepdims=0, name="token_ids")


def _add_tokens(graph: GraphBuilder, grid: PatchGrid, token_ids: str, bands: int) -> None:
    by_row = graph.node("Reshape", token_ids, graph.integers(0, -1, bands))
    row_valid = graph.node("Cast", grid.row_valid, to=INT64)
    graph.node("Mul", by_row, row_valid, name="tokens")
