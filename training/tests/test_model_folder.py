"""The model folder: its card, its checks, and the tiny model that the service's tests read."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from earshot_training.cli import main
from earshot_training.config import FbankStatistics
from earshot_training.errors import UserError
from earshot_training.export import encoder_files
from earshot_training.export.encoder_files import Precisions
from earshot_training.export.encoder_graph import OUTPUTS, create_encoder_graph
from earshot_training.export.model_folder import write_model_folder
from earshot_training.export.parity import (
    ParityError,
    create_session,
    noise_waveforms,
    pad_waveforms,
)
from earshot_training.model.artefact import Artefact, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.tokenizer.artefact import TokenizerArtefact, save_tokenizer
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig
from tests.goldens import FIXTURES
from tests.make_tiny_model import TINY_CONFIG, TINY_MODEL, make_tiny_model, tiny_artefact


def export(out: Path, artefact: Artefact | None = None, **changed) -> None:
    identity = {"name": "tiny", "revision": "3", "license": "MIT", "description": "A test."}
    write_model_folder(
        out,
        artefact or tiny_artefact(),
        **{**identity, "parity_waveforms": noise_waveforms()[:2], **changed},
    )


def test_the_card_is_that_of_the_contract(tmp_path: Path) -> None:
    export(tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    graph = (tmp_path / "model" / "encoder.fp32.onnx").read_bytes()
    labels = card.pop("labels")
    assert card == {
        "schema_version": 1,
        "name": "tiny",
        "revision": "3",
        "license": "MIT",
        "description": "A test.",
        "sample_rate": 16000,
        "min_samples": 2800,
        "window_seconds": 10,
        "activation": "sigmoid",
        "embedding": {"dim": 32},
        "rows": {"per_second": 6.25},
        "tokens": None,
        "graphs": {
            "encoder": {
                "fp32": {
                    "file": "encoder.fp32.onnx",
                    "bytes": len(graph),
                    "sha256": hashlib.sha256(graph).hexdigest(),
                }
            }
        },
        "training": {"seed": 0, "data": []},
        "evaluation": {"note": "random weights, never trained"},
    }
    assert len(labels) == 527
    assert labels[72:74] == [
        {
            "class_index": 72,
            "mid": "/m/0jbk",
            "name": "Animal",
            "trained": True,
            "positives": 10,
            "average_precision": 0.5,
            "threshold": 0.4,
        },
        {
            "class_index": 73,
            "mid": "/m/068hy",
            "name": "Domestic animals, pets",
            "trained": False,
            "positives": 0,
            "average_precision": None,
            "threshold": None,
        },
    ]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "encoder.fp32.onnx",
        "model.json",
    ]


def test_the_checksums_are_of_every_file(tmp_path: Path) -> None:
    export(tmp_path / "model")
    lines = (tmp_path / "model" / "SHA256SUMS").read_text().splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "model").iterdir()
        if path.name != "SHA256SUMS"
    }


def test_an_existing_folder_is_refused_unless_told(tmp_path: Path) -> None:
    export(tmp_path / "model")
    with pytest.raises(UserError, match="Expected a new folder"):
        export(tmp_path / "model", revision="4")
    export(tmp_path / "model", revision="5", overwrite=True)
    assert json.loads((tmp_path / "model" / "model.json").read_text())["revision"] == "5"


def test_a_graph_that_differs_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_artefact(seed=9).model
    monkeypatch.setattr(
        encoder_files, "create_encoder_graph", lambda _: create_encoder_graph(other)
    )
    with pytest.raises(ParityError, match=r"within 0\.0001 of PyTorch"):
        export(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("artefact", "changed", "message"),
    [
        (None, {"name": "Tiny Model"}, "Expected a name of a-z.* got 'Tiny Model'"),
        (
            None,
            {"precisions": Precisions(names=("fp32", "int8"))},
            "Expected labelled clips to judge int8 by",
        ),
        (
            dataclasses.replace(
                tiny_artefact(), model=Beats(TINY_CONFIG), labels=None, activation=None
            ),
            {"precisions": Precisions(names=("fp32", "fp16"))},
            "Expected a model with labels to judge fp16 by",
        ),
        (
            dataclasses.replace(
                tiny_artefact(),
                model=Beats(dataclasses.replace(TINY_CONFIG, patch_size=32), num_labels=527),
            ),
            {},
            "Expected patches of 16 frames",
        ),
    ],
)
def test_refuses(tmp_path: Path, artefact, changed: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        export(tmp_path / "model", artefact, **changed)
    assert list(tmp_path.iterdir()) == []


def tiny_tokenizer(statistics: FbankStatistics | None = None) -> DistilledTokenizer:
    codebook = CodebookConfig(codebook_size=16, codebook_dim=4)
    config = DistilledTokenizerConfig(encoder=TINY_CONFIG, codebook=codebook)
    tokenizer = DistilledTokenizer(config, statistics=statistics)
    tokenizer.codebook.start(torch.randn(100, 4), seed=0)
    return tokenizer.eval()


def test_the_export_command_takes_a_tokenizer_along(tmp_path: Path) -> None:
    save_artefact(tmp_path / "model", tiny_artefact())
    made = TokenizerArtefact(tokenizer=tiny_tokenizer(), training={"seed": 7})
    save_tokenizer(tmp_path / "tokenizer", made)
    given = [str(tmp_path / "model"), "--tokenizer", str(tmp_path / "tokenizer")]
    said = ["--out", str(tmp_path / "out"), "--license", "MIT", "--description", "A test."]
    assert main(["export", *given, *said]) == 0
    card = json.loads((tmp_path / "out" / "model.json").read_text())
    assert card["tokens"] == {"codebook_size": 16, "bands": 8}
    assert card["training"]["tokenizer"] == {"seed": 7}
    content = (tmp_path / "out" / "tokenizer.fp32.onnx").read_bytes()
    entry = card["graphs"]["tokenizer"]["fp32"]
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_tokenizer_of_other_fbank_statistics_is_refused(tmp_path: Path) -> None:
    other = TokenizerArtefact(tokenizer=tiny_tokenizer(FbankStatistics(mean=1.0, std=2.0)))
    with pytest.raises(UserError, match="Expected a tokenizer with the model's FbankStatistics"):
        export(tmp_path / "model", tokenizer=other)
    assert list(tmp_path.iterdir()) == []


def test_the_committed_tiny_model_is_what_the_script_makes(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "tiny")
    made, committed = (
        json.loads((folder / "model.json").read_text(encoding="utf-8"))
        for folder in (tmp_path / "tiny", TINY_MODEL)
    )
    content = (TINY_MODEL / "encoder.fp32.onnx").read_bytes()
    entry = committed["graphs"]["encoder"].pop("fp32")
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    # The last bits of a weight may differ between processors, so the graphs are held to outputs.
    del made["graphs"]["encoder"]["fp32"]
    assert made == committed
    assert sum(label["trained"] for label in committed["labels"]) == 176
    batch, num_samples = pad_waveforms(real_waveforms())
    inputs = {"waveform": batch, "num_samples": num_samples}
    answers = [
        create_session(onnx.load(folder / "encoder.fp32.onnx")).run(list(OUTPUTS), inputs)
        for folder in (tmp_path / "tiny", TINY_MODEL)
    ]
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
    scores = 1 / (1 + np.exp(-answers[0][0]))
    assert scores.max() > 0.95
    assert scores.min() < 0.05


def real_waveforms() -> list[np.ndarray]:
    with np.load(FIXTURES / "cases.npz") as arrays:
        return [arrays[f"{name}/waveform"] for name in ("clip_5s_a", "clip_1s", "clip_200ms")]
