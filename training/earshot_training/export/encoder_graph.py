"""A model as the encoder graph of the model folder."""

import onnx
from torch import nn

from earshot_training.export.arithmetic import OPSETS, Arithmetic, GraphPrecision, create_arithmetic
from earshot_training.export.backbone_graph import add_backbone
from earshot_training.export.convolutions_graph import add_convolutions
from earshot_training.export.front_graph import PatchGrid, add_front
from earshot_training.export.graph import FLOAT, INT64, GraphBuilder
from earshot_training.export.layers_graph import to_numpy
from earshot_training.model.beats import Beats

OUTPUTS = ("clip_logits", "clip_embedding", "row_logits", "row_embeddings")


def create_encoder_graph(model: Beats, precision: GraphPrecision = "fp32") -> onnx.ModelProto:
    """Write the graph from the weights: opset 23 (fp16: 18) and com.microsoft 1.

    Inputs: `waveform` float32 (batch, samples) in [-1, 1] at 16 kHz, zero past each clip's end;
    `num_samples` int64 (batch,). At least 2800 samples (one row), at most 4096 patches (81.9 s).
    Outputs: `clip_logits` (batch, labels), `clip_embedding` (batch, dim), `row_logits` (batch,
    rows, labels), `row_embeddings` (batch, rows, dim); rows past a clip's end are zero. A model
    without a label predictor has logits of no label: their last dimension is 0.
    """
    graph = GraphBuilder(OPSETS[precision])
    arithmetic = create_arithmetic(graph, precision)
    waveform = graph.input("waveform", FLOAT, ["batch", "samples"])
    num_samples = graph.input("num_samples", INT64, ["batch"])
    grid = add_front(graph, model.fbank, model.config, waveform, num_samples)
    patch_vectors = add_backbone(arithmetic, model, grid)
    if model.convolutions is not None:
        convolved = add_convolutions(arithmetic.outer, model.convolutions, grid)
        patch_vectors = graph.node("Concat", patch_vectors, convolved, axis=2)
    _add_embeddings(graph, model, grid, patch_vectors)
    if model.predictor is None:
        _add_no_logits(graph)
    else:
        _add_logits(arithmetic.outer, model.predictor, grid)
    dim, labels = model.config.embedding_dim, model.num_labels
    graph.output("clip_logits", FLOAT, ["batch", labels])
    graph.output("clip_embedding", FLOAT, ["batch", dim])
    graph.output("row_logits", FLOAT, ["batch", "rows", labels])
    graph.output("row_embeddings", FLOAT, ["batch", "rows", dim])
    return graph.build("encoder", "BEATs: waveform to AudioSet logits and embeddings")


def _add_embeddings(graph: GraphBuilder, model: Beats, grid: PatchGrid, patch_vectors: str) -> None:
    """Means over the bands of each row and over the valid rows; all rows have as many bands."""
    bands, dim = model.config.bands, model.config.embedding_dim
    by_row = graph.node("Reshape", patch_vectors, graph.integers(0, -1, bands, dim))
    means = graph.node("ReduceMean", by_row, graph.integers(2), keepdims=0)
    rows = graph.node("Mul", means, grid.row_valid, name="row_embeddings")
    total = graph.node("ReduceSum", rows, graph.integers(1), keepdims=0)
    graph.node("Div", total, grid.num_rows, name="clip_embedding")


def _add_logits(arithmetic: Arithmetic, predictor: nn.Linear, grid: PatchGrid) -> None:
    """Add logits of rows and clip: the mean of the rows' is that of the rows' mean."""
    graph = arithmetic.graph
    weight = arithmetic.constant("predictor.weight", to_numpy(predictor.weight).T)
    bias = graph.constant("predictor.bias", to_numpy(predictor.bias))

    def logits(embeddings: str, name: str) -> str:
        product = graph.node("MatMul", arithmetic.narrow(embeddings), weight)
        return graph.node("Add", arithmetic.wide(product), bias, name=name)

    rows = logits("row_embeddings", "predictor.rows")
    graph.node("Mul", rows, grid.row_valid, name="row_logits")
    logits("clip_embedding", "clip_logits")


def _add_no_logits(graph: GraphBuilder) -> None:
    for logits, embeddings in (("clip_logits", "clip_embedding"), ("row_logits", "row_embeddings")):
        start, end, axis = graph.integers(0), graph.integers(0), graph.integers(-1)
        graph.node("Slice", embeddings, start, end, axis, name=logits)
