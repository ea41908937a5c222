"""Files and configurations that are not released checkpoints: one line, and nothing left behind."""

import pathlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from earshot_training.cli import main
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from earshot_training.labels.released import released_labels
from earshot_training.model.released import load_released_encoder
from earshot_training.tokenizer.released import load_released_tokenizer
from tests.goldens import FIXTURES, checkpoint
from tests.made_checkpoints import save

FINETUNED = (FIXTURES / "finetuned.pt").read_bytes()
MIDS = [label.mid for label in audioset_labels()]
EXPECTED = "expected a checkpoint of the released BEATs code (a dict of 'cfg' and 'model'), got "


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes/read.txt", "hello")


def write_legacy_cut(path: Path) -> None:
    torch.save({"cfg": {}, "model": {}}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-20])


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("no model\n"), "a text file"),
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "missing": (lambda path: None, "no such file"),  # noqa: ARG005
    "zip": (write_zip, "a zip archive of other files"),
    "cut in half": (
        lambda path: path.write_bytes(FINETUNED[: len(FINETUNED) // 2]),
        "a zip archive that is cut short or damaged",
    ),
    "cut legacy file": (write_legacy_cut, "a file that PyTorch cannot read as tensors"),
    "noise": (lambda path: path.write_bytes(bytes(range(256)) * 9), "a file that PyTorch cannot"),
    "plain pickle": (
        lambda path: path.write_bytes(pickle.dumps({"cfg": pathlib.PurePosixPath("x")})),
        "a file that PyTorch cannot",
    ),
    "a class inside": (
        lambda path: torch.save({"cfg": {"x": pathlib.PurePosixPath("x")}, "model": {}}, path),
        "a pickle with more than tensors and plain values (pathlib.PurePosixPath)",
    ),
    "a list": (lambda path: torch.save([1, 2], path), "a list"),
    "a state dict": (
        lambda path: torch.save(checkpoint("pretrained.pt")["model"], path),
        "a dict of 'post_extract_proj.weight', ",
    ),
    "cfg no dict": (
        lambda path: torch.save({"cfg": [], "model": {}}, path),
        "a cfg that is a list",
    ),
    "model no state dict": (
        lambda path: torch.save({"cfg": {}, "model": {"a": 1}}, path),
        "a model that is not a state dict",
    ),
}


@pytest.mark.parametrize(("write", "came"), FILES.values(), ids=FILES)
def test_another_file_gets_one_line(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    write: Callable[[Path], object],
    came: str,
) -> None:
    path = tmp_path / "given.pt"
    write(path)
    assert main(["import-beats", str(path), "--out", str(tmp_path / "models" / "new")]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"earshot-train: {path}: {EXPECTED}{came}")
    assert said.err.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_a_bad_tokenizer_leaves_nothing_behind(tmp_path: Path, capfd: Any) -> None:
    arguments = [str(FIXTURES / "finetuned.pt"), "--tokenizer", str(FIXTURES / "pretrained.pt")]
    assert main(["import-beats", *arguments, "--out", str(tmp_path / "models" / "new")]) == 2
    said = capfd.readouterr().err
    assert "pretrained.pt: expected the checkpoint of a tokenizer, got that of an encoder" in said
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "BEATs iter 3"), "Expected a name of a-z"),
        (("--precisions", "fp32,fp7"), "Expected precisions"),
    ],
)
def test_options_that_cannot_be(
    tmp_path: Path, capfd: Any, options: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "models" / "new"
    given = str(FIXTURES / "pretrained.pt")
    assert main(["import-beats", given, "--out", str(out), *options]) == 2
    assert message in capfd.readouterr().err
    assert not out.parent.exists()


def test_an_existing_folder_stays_as_it_is(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "note").write_text("mine")
    given = str(FIXTURES / "pretrained.pt")
    assert main(["import-beats", given, "--out", str(tmp_path / "there")]) == 2
    assert "Expected a new folder" in capfd.readouterr().err
    assert (tmp_path / "there" / "note").read_text() == "mine"


def set_cfg(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda released: released["cfg"].update(changes)


def drop(part: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda released: released[part].pop(key)


def set_weight(key: str, value: torch.Tensor) -> Callable[[dict[str, Any]], None]:
    return lambda released: released["model"].update({key: value})


SECOND_TABLE = "encoder.layers.1.self_attn.relative_attention_bias.weight"
CHANGES: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("pretrained", set_cfg(deep_norm=False), r"cfg.deep_norm: expected True, got False"),
    ("pretrained", drop("cfg", "gru_rel_pos"), r"cfg.gru_rel_pos: missing; expected True"),
    ("pretrained", set_cfg(activation_fn="relu"), r"activation_fn: expected 'gelu', got 'relu'"),
    ("pretrained", drop("cfg", "max_distance"), r"cfg.max_distance: missing; expected int"),
    ("pretrained", set_cfg(encoder_layers="2"), r"cfg.encoder_layers: expected int, got '2'"),
    (
        "pretrained",
        set_cfg(encoder_attention_heads=5),
        r"cfg.encoder_attention_heads: .* a div",
    ),
    ("pretrained", set_cfg(encoder_ffn_embed_dim=64), r"fc1.weight: .* shape \[64, 64\] by cfg"),
    ("pretrained", set_cfg(encoder_layers=3), r"missing encoder.layers.2.*, unexpected none"),
    ("pretrained", set_cfg(encoder_layers=1), r"missing none, unexpected .* and 17 more"),
    ("pretrained", set_cfg(finetuned_model=True), r"cfg.finetuned_model: True .* has none"),
    (
        "pretrained",
        drop("model", "encoder.layers.1.fc2.bias"),
        r"missing encoder.*fc2.bias",
    ),
    ("pretrained", set_weight("extra", torch.ones(1)), r"unexpected extra"),
    ("pretrained", set_weight(SECOND_TABLE, torch.ones(320, 4)), r"layer 1's differs"),
    (
        "pretrained",
        set_weight("layer_norm.bias", torch.ones(32).int()),
        r"layer_norm.bias: expected floating-point .* got torch.int32",
    ),
    ("finetuned", drop("cfg", "predictor_class"), r"cfg.predictor_class: .* got None"),
    ("finetuned", set_cfg(predictor_class=50), r"predictor.weight: expected .* \[50, 64\]"),
    ("finetuned", lambda released: released.pop("label_dict"), r"label_dict: expected a dict"),
    ("finetuned", drop("label_dict", 8), r"label_dict: expected the classes 0 to 526 .* 526 keys"),
    ("tokenizer", drop("cfg", "quant_n"), r"cfg.quant_n: expected a whole number .* got None"),
    ("tokenizer", set_cfg(quant_dim=8), r"quantize.*: expected .* by cfg"),
    ("tokenizer", drop("model", "quantize.cluster_size"), r"missing quantize.cluster_size"),
    (
        "tokenizer",
        set_weight("quantize.embedding.initted", torch.zeros(1)),
        r"expected a codebook that was trained, got 0",
    ),
]


@pytest.mark.parametrize(("name", "change", "message"), CHANGES)
def test_another_checkpoint_is_refused_by_name(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    released = checkpoint(f"{name}.pt")
    change(released)
    path = save(released, tmp_path / "changed.pt")
    load = load_released_tokenizer if name == "tokenizer" else load_released_encoder
    with pytest.raises(UserError, match=rf"changed.pt: .*{message}"):
        load(path)


def test_a_tokenizer_is_no_encoder() -> None:
    with pytest.raises(UserError, match="of an encoder, got that of a tokenizer"):
        load_released_encoder(FIXTURES / "tokenizer.pt")


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    released = checkpoint("pretrained.pt")
    released["model"] = {key: weight.half() for key, weight in released["model"].items()}
    model = load_released_encoder(save(released, tmp_path / "half.pt")).model
    expected = released["model"]["encoder.layers.0.fc1.weight"].float()
    torch.testing.assert_close(model.state_dict()["encoder.layers.0.expand.weight"], expected)


@pytest.mark.parametrize(
    ("label_dict", "message"),
    [
        (MIDS, "expected a dict from class index to label .* got list"),
        ({}, "got an empty dict"),
        ({index + 1: mid for index, mid in enumerate(MIDS)}, "classes 0 to 526 as keys"),
        ({mid: index for index, mid in enumerate(MIDS)}, "classes 0 to 526 as keys"),
        ({**dict(enumerate(MIDS)), 7: "/m/none"}, r"label_dict\[7\]: .* got '/m/none'"),
        ({**dict(enumerate(MIDS)), 7: "Dog"}, r"label_dict\[7\]: .* got 'Dog'"),
        ({**dict(enumerate(MIDS)), 7: 7}, r"label_dict\[7\]: .* got 7"),
        ({**dict(enumerate(MIDS)), 7: None}, r"label_dict\[7\]: .* got None"),
        ({**dict(enumerate(MIDS)), 7: MIDS[3]}, r"distinct labels, .* for the classes 3 and 7"),
        ({index: min(index, 525) for index in range(527)}, "distinct labels, .* 525 and 526"),
        ({index: index + 1 for index in range(527)}, r"label_dict\[526\]: .* got 527"),
    ],
)
def test_a_label_order_in_doubt_is_refused(label_dict: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        released_labels(label_dict, 527)


def test_indices_name_labels_only_when_all_are_there() -> None:
    """Ten classes numbered 0 to 9 may be anything."""
    with pytest.raises(UserError, match=r"label_dict\[0\]: expected an AudioSet MID .* got 0"):
        released_labels({index: index for index in range(10)}, 10)
