"""A model on disk: what is saved is loaded, and nothing else is."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from earshot_training.atomic_folder import atomic_folder
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, load_artefact, save_artefact
from earshot_training.model.beats import Beats
from tests.goldens import cases
from tests.make_tiny_model import TINY_CONFIG, tiny_artefact


def test_a_saved_model_answers_as_before(tmp_path: Path) -> None:
    artefact = tiny_artefact(seed=1)
    save_artefact(tmp_path / "tagger", artefact)
    loaded = load_artefact(tmp_path / "tagger")
    case = cases()["clip_1s"]
    with torch.no_grad():
        before, after = (
            model(case.waveform, case.num_samples).clip_logits
            for model in (artefact.model, loaded.model)
        )
    assert torch.equal(before, after)
    assert not loaded.model.training
    assert dataclasses.replace(loaded, model=artefact.model) == artefact


def test_a_pretrained_model_has_no_labels(tmp_path: Path) -> None:
    artefact = Artefact(model=Beats(TINY_CONFIG), kind="pretrained", training={"steps": 3})
    save_artefact(tmp_path / "encoder", artefact)
    loaded = load_artefact(tmp_path / "encoder")
    assert (loaded.labels, loaded.activation, loaded.model.predictor) == (None, None, None)
    assert loaded.training == {"steps": 3}


def test_labels_must_fit_the_predictor() -> None:
    artefact = tiny_artefact()
    assert artefact.labels is not None
    with pytest.raises(ValueError, match="Expected 527 labels, got 526"):
        dataclasses.replace(artefact, labels=artefact.labels[1:])
    with pytest.raises(ValueError, match="Expected an activation"):
        dataclasses.replace(artefact, activation=None)


def save_changed_weights(folder: Path, change) -> None:
    save_artefact(folder, tiny_artefact())
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder.norm.bias"), r"missing \['encoder.norm.bias'\], unexpected \[\]"),
        (lambda w: w.update(extra=torch.zeros(1)), r"missing \[\], unexpected \['extra'\]"),
        (
            lambda w: w.update({"predictor.bias": torch.zeros(5)}),
            r"predictor.bias as torch.float32 \(527,\), got torch.float32 \(5,\)",
        ),
        (
            lambda w: w.update({"predictor.bias": torch.zeros(527).half()}),
            r"predictor.bias as torch.float32 \(527,\), got torch.float16 \(527,\)",
        ),
    ],
)
def test_refuses_other_weights(tmp_path: Path, change, message: str) -> None:
    save_changed_weights(tmp_path / "tagger", change)
    with pytest.raises(UserError, match=message):
        load_artefact(tmp_path / "tagger")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card["encoder"].pop("heads"), "encoder.heads: missing; expected int"),
        (lambda card: card.update(extra=1), "extra: unknown key"),
        (lambda card: card.update(schema_version=2), "expected schema_version 1, got 2"),
        (lambda card: card["labels"][3].pop("mid"), r"labels\[3\].mid: missing"),
    ],
)
def test_refuses_another_card(tmp_path: Path, change, message: str) -> None:
    save_artefact(tmp_path / "tagger", tiny_artefact())
    path = tmp_path / "tagger" / "artefact.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    with pytest.raises(UserError, match=message):
        load_artefact(tmp_path / "tagger")


def test_refuses_a_folder_without_an_artefact(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Expected JSON in .*artefact\.json"):
        load_artefact(tmp_path)


def write_half_an_artefact(target: Path) -> None:
    with atomic_folder(target, overwrite=True) as fresh:
        (fresh / "weights.safetensors").write_bytes(b"half")
        raise InterruptedError


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "tagger"
    save_artefact(target, tiny_artefact(seed=1))
    before = (target / "weights.safetensors").read_bytes()
    with pytest.raises(UserError, match="Expected a new folder, but"):
        save_artefact(target, tiny_artefact(seed=2))
    with pytest.raises(InterruptedError):
        write_half_an_artefact(target)
    assert (target / "weights.safetensors").read_bytes() == before
    save_artefact(target, tiny_artefact(seed=2), overwrite=True)
    assert (target / "weights.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["tagger"]


def test_audioset_labels_are_in_the_order_of_the_list() -> None:
    labels = audioset_labels()
    assert len(labels) == 527
    assert [(label.mid, label.name) for label in (labels[0], labels[74], labels[526])] == [
        ("/m/09x0r", "Speech"),
        ("/m/0bt9lr", "Dog"),
        ("/m/07hvw1", "Field recording"),
    ]
    assert any(label.name == "Male speech, man speaking" for label in labels)
