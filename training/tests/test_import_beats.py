"""Imported released checkpoints: the files that the command writes, against golden values."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from earshot_training.audio.fbank import num_rows
from earshot_training.cli import main
from earshot_training.export.parity import create_session, pad_waveforms
from earshot_training.labels.audioset import audioset_labels
from earshot_training.labels.released import released_labels
from tests import released_reference
from tests.goldens import FIXTURES, Case, cases, checkpoint, pretrained_model, tolerance
from tests.made_checkpoints import made_cfg, made_encoder, made_tokenizer, save

FEATURES = "encoder.layers.1.final_norm.norm"
OTHER_SHAPES = {
    "one layer, five heads": made_cfg(),
    "no projection, odd kernel, other buckets": made_cfg(
        embed_dim=48,
        encoder_layers=3,
        encoder_embed_dim=48,
        encoder_attention_heads=2,
        conv_pos=9,
        conv_pos_groups=3,
        num_buckets=32,
        max_distance=100,
    ),
}


class Imported:
    """A model folder with its graphs open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def run(self, graph: str, waveforms: list[np.ndarray], *outputs: str) -> list[np.ndarray]:
        batch, num_samples = pad_waveforms(waveforms)
        if graph not in self._sessions:
            self._sessions[graph] = create_session(self._with_features(graph))
        inputs = {"waveform": batch, "num_samples": num_samples}
        return self._sessions[graph].run(list(outputs), inputs)

    def _with_features(self, graph: str) -> onnx.ModelProto:
        """Offer the vectors of the patches too, which the contract gives as means only."""
        model = onnx.load(self.folder / f"{graph}.fp32.onnx")
        if any(FEATURES in node.output for node in model.graph.node):
            info = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["b", "n", "d"])
            model.graph.output.append(info)
        return model


def import_beats(out: Path, checkpoint_path: Path, *options: str) -> Imported:
    assert main(["import-beats", str(checkpoint_path), "--out", str(out), *options]) == 0
    return Imported(out)


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    out = tmp_path_factory.mktemp("models") / "finetuned"
    tokenizer = str(FIXTURES / "tokenizer.pt")
    return import_beats(out, FIXTURES / "finetuned.pt", "--tokenizer", tokenizer)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return import_beats(tmp_path_factory.mktemp("models") / "pre", FIXTURES / "pretrained.pt")


def waveform_of(case: Case) -> np.ndarray:
    return case.waveform[0].numpy()


def assert_near(came: np.ndarray, expected: np.ndarray, atol: float) -> None:
    np.testing.assert_allclose(came, expected, atol=atol, rtol=0)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def assert_is_golden(
    case: Case, *, features: np.ndarray, clip_logits: np.ndarray, tokens: np.ndarray
) -> None:
    """Features (patches, 64), logits (527,), tokens (patches,) of one clip."""
    limits = tolerance(case.name)
    assert_near(features, case.features.numpy(), limits.features)
    assert_near(sigmoid(clip_logits), case.scores.numpy(), limits.scores)
    with np.load(FIXTURES / "cases.npz") as arrays:
        np.testing.assert_array_equal(tokens, arrays[f"{case.name}/tokens"])


def test_golden_values_alone(case: Case, finetuned: Imported, pretrained: Imported) -> None:
    clip = [waveform_of(case)]
    (features,) = pretrained.run("encoder", clip, FEATURES)
    (logits,) = finetuned.run("encoder", clip, "clip_logits")
    (tokens,) = finetuned.run("tokenizer", clip, "tokens")
    assert tokens.dtype == np.int64
    assert_is_golden(
        case, features=features[0], clip_logits=logits[0], tokens=tokens[0].reshape(-1)
    )


def test_golden_values_in_one_batch_of_all(finetuned: Imported, pretrained: Imported) -> None:
    clips = [waveform_of(case) for case in cases().values()]
    features, embeddings = pretrained.run("encoder", clips, FEATURES, "clip_embedding")
    logits, row_logits = finetuned.run("encoder", clips, "clip_logits", "row_logits")
    (tokens,) = finetuned.run("tokenizer", clips, "tokens")
    assert tokens.shape == (*row_logits.shape[:2], 8)
    for place, case in enumerate(cases().values()):
        rows = num_rows(len(clips[place]))
        assert_is_golden(
            case,
            features=features[place, : rows * 8],
            clip_logits=logits[place],
            tokens=tokens[place, :rows].reshape(-1),
        )
        assert_near(
            embeddings[place], case.features.numpy().mean(axis=0), tolerance(case.name).features
        )
        assert not tokens[place, rows:].any()
        assert not row_logits[place, rows:].any()


def test_the_card_names_files_labels_and_tokens(finetuned: Imported) -> None:
    card = finetuned.card
    for kind in ("encoder", "tokenizer"):
        entry = card["graphs"][kind]["fp32"]
        content = (finetuned.folder / entry["file"]).read_bytes()
        assert entry == {
            "file": f"{kind}.fp32.onnx",
            "bytes": len(content),
            "sha256": sha256(content).hexdigest(),
        }
    assert card["name"] == "finetuned"
    assert card["license"] == "MIT"
    assert card["activation"] == "sigmoid"
    assert card["embedding"] == {"dim": 64}
    assert card["tokens"] == {"codebook_size": 1024, "bands": 8}
    names = {label.mid: label.name for label in audioset_labels()}
    assert [(label["class_index"], label["mid"], label["name"]) for label in card["labels"]] == [
        (index, mid, names[mid]) for index, mid in checkpoint("finetuned.pt")["label_dict"].items()
    ]
    assert [label["mid"] for label in card["labels"]] != list(names)
    assert all(label["trained"] for label in card["labels"])
    source = card["training"]["imported_from"]
    assert source["sha256"] == sha256((FIXTURES / "finetuned.pt").read_bytes()).hexdigest()
    assert card["training"]["tokenizer"]["imported_from"]["cfg"]["quant_n"] == 1024


def test_a_pretrained_checkpoint_gives_embeddings_and_no_labels(pretrained: Imported) -> None:
    assert pretrained.card["labels"] == []
    assert pretrained.card["tokens"] is None
    assert list(pretrained.card["graphs"]) == ["encoder"]
    case = cases()["clip_1s"]
    names = ("clip_logits", "clip_embedding", "row_logits", "row_embeddings")
    outputs = dict(zip(names, pretrained.run("encoder", [waveform_of(case)], *names), strict=True))
    assert outputs["clip_logits"].shape == (1, 0)
    assert outputs["row_logits"].shape == (1, 6, 0)
    with torch.no_grad():
        expected = pretrained_model()(case.waveform, case.num_samples)
    assert_near(outputs["clip_embedding"], expected.clip_embedding.numpy(), 1e-4)
    assert_near(outputs["row_embeddings"], expected.row_embeddings.numpy(), 1e-4)


@pytest.mark.parametrize("cfg", OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_other_shapes_equal_the_written_out_model(tmp_path: Path, cfg: dict[str, Any]) -> None:
    encoder = made_encoder(cfg, num_labels=11)
    tokenizer = made_tokenizer(cfg, size=40, dim=12)
    model = import_beats(
        tmp_path / "model",
        save(encoder, tmp_path / "encoder.pt"),
        "--tokenizer",
        str(save(tokenizer, tmp_path / "tokenizer.pt")),
    )
    chosen = [cases()[name] for name in ("clip_3s_odd", "clip_200ms", "clip_1s", "clip_min_2800")]
    clips = [waveform_of(case) for case in chosen]
    logits, embeddings = model.run("encoder", clips, "clip_logits", "clip_embedding")
    (tokens,) = model.run("tokenizer", clips, "tokens")
    assert logits.shape == (4, 11)
    for place, case in enumerate(chosen):
        vectors = released_reference.patch_vectors(encoder, case.fbank)
        expected = released_reference.scores(encoder, vectors).numpy()
        assert_near(sigmoid(logits[place]), expected, 1e-5)
        assert_near(embeddings[place], vectors.mean(dim=0).numpy(), 3e-4)
        tokenizer_vectors = released_reference.patch_vectors(tokenizer, case.fbank)
        expected_ids = released_reference.token_ids(tokenizer, tokenizer_vectors).numpy()
        np.testing.assert_array_equal(tokens[place].reshape(-1)[: len(expected_ids)], expected_ids)
    assert len(np.unique(tokens)) > 10


def test_the_written_out_model_gives_the_golden_values(case: Case) -> None:
    """The reference of the test above is itself held to the released code."""
    finetuned_vectors = released_reference.patch_vectors(checkpoint("finetuned.pt"), case.fbank)
    scores = released_reference.scores(checkpoint("finetuned.pt"), finetuned_vectors)
    assert_near(scores.numpy(), case.scores.numpy(), tolerance(case.name).scores)
    features = released_reference.patch_vectors(checkpoint("pretrained.pt"), case.fbank)
    assert_near(features.numpy(), case.features.numpy(), tolerance(case.name).features)


def test_labels_may_be_names_or_all_indices() -> None:
    labels = audioset_labels()
    shuffled = [labels[index] for index in np.random.default_rng(0).permutation(len(labels))]
    by_mid = {index: label.mid for index, label in enumerate(shuffled)}
    by_name = {index: label.name for index, label in enumerate(shuffled)}
    by_index = {index: label.index for index, label in enumerate(shuffled)}
    for label_dict in (by_mid, by_name, by_index):
        assert released_labels(label_dict, 527) == tuple(shuffled)
