"""Writes the base backbone as rivals want their graphs: as many patches, of their own features.

`python make_rival_graphs.py OUT` writes
OUT/ast/, a folder as transformers.js loads audio-spectrogram-transformers: `input_values`
(1, 992, 128) to `logits`, in float32 and as onnxruntime quantises it (`q8`);
OUT/ced/, a graph as sherpa-onnx loads CED: mel bins before time, (1, 64, frames) to `probs`, its 64
bins taken twice to make 128, and the table of labels beside it.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from bench.import_base import BASE
from bench.random_base import NUM_LABELS
from earshot_training.export.arithmetic import OPSETS, create_arithmetic
from earshot_training.export.backbone_graph import add_backbone
from earshot_training.export.front_graph import PatchGrid
from earshot_training.export.graph import FLOAT, GraphBuilder
from earshot_training.export.layers_graph import add_linear
from earshot_training.model.beats import Beats
from earshot_training.model.released import load_released_encoder
from tests.made_checkpoints import made_encoder, save

ROWS, BANDS, SIDE = 62, 8, 16
FRAMES, MEL_BINS, PATCHES = ROWS * SIDE, BANDS * SIDE, ROWS * BANDS
AST_MEAN, AST_STD = -4.2677393, 4.5689974

AddFeatures = Callable[[GraphBuilder], str]
"""Declares the input and adds (1, 992, 128) of it; returns its name."""


def main() -> None:
    """Write both folders."""
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    model = random_model(out)
    write_ast(out / "ast", model)
    write_ced(out / "ced", model)


def random_model(out: Path) -> Beats:
    """Make the base model whose graphs the other contenders run."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = save(made_encoder(BASE, num_labels=NUM_LABELS), out / "random.pt")
    model = load_released_encoder(checkpoint).model
    checkpoint.unlink()
    return model


def write_ast(folder: Path, model: Beats) -> None:
    """Graphs, configuration and feature extractor, as converted models come."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    graph = build(model, lambda graph: graph.input("input_values", FLOAT, [1, FRAMES, MEL_BINS]))
    graph.output("logits", FLOAT, [1, NUM_LABELS])
    float_path = folder / "onnx" / "model.onnx"
    onnx.save(
        graph.build("ast", "The base backbone as an audio spectrogram transformer"), float_path
    )
    quantize(float_path, folder / "onnx" / "model_quantized.onnx")
    config = {
        "model_type": "audio-spectrogram-transformer",
        "architectures": ["ASTForAudioClassification"],
        "id2label": {str(index): f"label {index}" for index in range(NUM_LABELS)},
    }
    extractor = {
        "feature_extractor_type": "ASTFeatureExtractor",
        "sampling_rate": 16_000,
        "num_mel_bins": MEL_BINS,
        "max_length": FRAMES,
        "mean": AST_MEAN,
        "std": AST_STD,
        "do_normalize": True,
        "padding_value": 0.0,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor), encoding="utf-8")


def write_ced(folder: Path, model: Beats) -> None:
    """Graph with the metadata that sherpa-onnx reads, and its labels."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = build(model, add_ced_features)
    graph.node("Sigmoid", "logits", name="probs")
    graph.output("probs", FLOAT, [1, NUM_LABELS])
    proto = graph.build("ced", "The base backbone as a CED")
    onnx.helper.set_model_props(proto, {"num_event_classes": str(NUM_LABELS), "model_type": "ced"})
    onnx.save(proto, folder / "model.onnx")
    quantize(folder / "model.onnx", folder / "model.int8.onnx")
    rows = [f'{index},/m/{index},"label {index}"' for index in range(NUM_LABELS)]
    labels = "\n".join(["index,mid,display_name", *rows]) + "\n"
    (folder / "labels.csv").write_text(labels, encoding="utf-8")


def quantize(float_path: Path, int8_path: Path) -> None:
    """Quantise the products as published int8 graphs are: dynamic, a scale for each weight."""
    quantize_dynamic(
        float_path,
        int8_path,
        op_types_to_quantize=["MatMul"],
        weight_type=QuantType.QInt8,
        # Its shape inference does not know the attention operator.
        extra_options={"DefaultTensorType": FLOAT},
    )


def add_ced_features(graph: GraphBuilder) -> str:
    """(1, 64, frames) -> (1, 992, 128): bins twice, frames from the first."""
    features = graph.input("feats", FLOAT, [1, MEL_BINS // 2, "frames"])
    first = graph.node(
        "Slice", features, graph.integers(0), graph.integers(FRAMES), graph.integers(2)
    )
    twice = graph.node("Concat", first, first, axis=1)
    return graph.node("Transpose", twice, perm=[0, 2, 1])


def build(model: Beats, add_features: AddFeatures) -> GraphBuilder:
    """Add everything from features to `logits`."""
    graph = GraphBuilder(OPSETS["fp32"])
    arithmetic = create_arithmetic(graph, "fp32")
    vectors = add_backbone(arithmetic, model, whole_grid(graph, add_features(graph)))
    embedding = graph.node("ReduceMean", vectors, graph.integers(1), keepdims=0)
    assert model.predictor is not None
    logits = add_linear(arithmetic, "predictor", model.predictor, embedding)
    graph.node("Identity", logits, name="logits")
    return graph


def whole_grid(graph: GraphBuilder, features: str) -> PatchGrid:
    """Cut the tiles of a clip without padding."""
    split = graph.node("Reshape", features, graph.integers(1, ROWS, SIDE, BANDS, SIDE))
    ordered = graph.node("Transpose", split, perm=[0, 1, 3, 2, 4])
    return PatchGrid(
        tiles=graph.node("Reshape", ordered, graph.integers(1, PATCHES, SIDE**2), name="tiles"),
        row_valid=graph.constant("row_valid", np.ones((1, ROWS, 1), np.float32)),
        patch_valid=graph.constant("patch_valid", np.ones((1, PATCHES, 1), np.float32)),
        num_rows=graph.constant("num_rows", np.full((1, 1), ROWS, np.float32)),
        num_patches=graph.constant("num_patches", np.full(1, PATCHES, np.int32)),
        positions=graph.constant("positions", np.arange(1, PATCHES + 1)),
    )


if __name__ == "__main__":
    main()
