"""pretrain, train-tokenizer and tokenize through the command line, on generated clips."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from earshot_training.cli import main
from earshot_training.data.token_store import TokenStore
from earshot_training.model.artefact import load_artefact
from earshot_training.tokenizer.artefact import load_tokenizer
from earshot_training.train.held_out import held_out_batches, score_masked_tokens
from earshot_training.train.pretrain import create_pretrain_run, load_pretrain_config
from earshot_training.train.train_tokenizer import load_train_tokenizer_config
from tests.made_clips import write_corpus

SHARED = """
seed = 3

[encoder]
patch_dim = 16
dim = 16
ffn_dim = 32
layers = 2
heads = 2
conv_pos_kernel = 16
conv_pos_groups = 4
dropout = 0.1
layer_drop = 0.3

[data]
manifest = "clips/manifest.jsonl"
folds = [1]
held_out_folds = [2]
batch_size = 4
max_rows = 4

[loop]
steps = 4
print_every_steps = 1
"""
PRETRAIN = (
    SHARED + "accumulate = 2\n[predictor]\nlayers = 1\n[masked_tokens]\nmeasure_kept = true\n"
)
TOKENIZER = (
    SHARED
    + "[codebook]\ncodebook_size = 16\ncodebook_dim = 8\nrestart_usage = 0.001\n"
    + "[codebook_start]\nvectors = 200\n[distillation]\nestimator_layers = 1\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, configs, and one run of everything: encoder, tokenizer, its tokens."""
    folder = tmp_path_factory.mktemp("pretraining")
    write_corpus(folder / "clips")
    (folder / "pretrain.toml").write_text(PRETRAIN)
    (folder / "tokenizer.toml").write_text(TOKENIZER)
    assert run("pretrain", folder / "pretrain.toml", "--out", folder / "encoder") == 0
    assert train_tokenizer(folder, folder / "tokenizer") == 0
    assert tokenize(folder, folder / "tokenizer" / "artefact", folder / "tokens") == 0
    return folder


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--device", "cpu"])


def train_tokenizer(folder: Path, out: Path, *more: object) -> int:
    teacher = folder / "encoder" / "artefact"
    return run(
        "train-tokenizer", folder / "tokenizer.toml", "--teacher", teacher, "--out", out, *more
    )


def tokenize(folder: Path, tokenizer: object, out: Path) -> int:
    return run("tokenize", tokenizer, "--manifest", folder / "clips/manifest.jsonl", "--out", out)


def pretrain(folder: Path, out: Path, *more: object) -> int:
    return run("pretrain", folder / "pretrain.toml", "--out", out, *more)


def records(run_folder: Path) -> list[dict[str, float]]:
    """The run's metrics, without what depends on the clock."""
    lines = (run_folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        del row["clips_per_second"]
    return rows


def assert_same_run(first: Path, second: Path) -> None:
    assert records(first) == records(second)
    weights, others = (
        load_file(folder / "artefact" / "weights.safetensors") for folder in (first, second)
    )
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        assert torch.equal(weight, others[name]), name


def error_of(capsys: pytest.CaptureFixture[str], status: int) -> str:
    assert status == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "pretrain").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_pretraining_config_can_be_read(path: Path):
    assert load_pretrain_config(path).loop.steps > 0


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "tokenizer").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_tokenizer_config_can_be_read(path: Path):
    config = load_train_tokenizer_config(path)
    assert config.codebook_start.vectors >= config.codebook.codebook_size


def test_a_pretrained_encoder_says_how_it_was_made(folder: Path):
    artefact = load_artefact(folder / "encoder" / "artefact")
    assert artefact.kind == "pretrained"
    assert artefact.labels is None
    assert artefact.training["steps"] == 4
    assert artefact.training["clips_seen"] == 4 * 2 * 4
    assert artefact.training["data"]["folds"] == [1]
    last = records(folder / "encoder")[-1]
    assert last["clips"] == 8
    assert {"loss/masked", "accuracy/masked", "accuracy/kept", "tokens/perplexity"} <= last.keys()


def test_a_stopped_and_resumed_pretraining_equals_an_uninterrupted_one(folder, tmp_path):
    assert pretrain(folder, tmp_path / "run", "--max-steps", 1) == 0
    assert len(records(tmp_path / "run")) == 1
    assert pretrain(folder, tmp_path / "run", "--resume", "--max-steps", 3) == 0
    assert pretrain(folder, tmp_path / "run", "--resume") == 0
    assert_same_run(tmp_path / "run", folder / "encoder")


def test_a_stopped_and_resumed_tokenizer_equals_an_uninterrupted_one(folder, tmp_path):
    assert train_tokenizer(folder, tmp_path / "run", "--max-steps", 2) == 0
    assert train_tokenizer(folder, tmp_path / "run", "--resume") == 0
    assert_same_run(tmp_path / "run", folder / "tokenizer")


def test_stored_random_tokens_train_too(folder, tmp_path):
    assert tokenize(folder, "random", tmp_path / "tokens") == 0
    assert (
        pretrain(folder, tmp_path / "run", "--tokens", tmp_path / "tokens", "--max-steps", 1) == 0
    )
    stored, made = records(tmp_path / "run")[0], records(folder / "encoder")[0]
    # At the first step no weight has moved: only the seams of rolled clips name other tokens.
    assert stored["tokens/perplexity"] == pytest.approx(made["tokens/perplexity"], rel=0.1)


def test_the_tokenizers_tokens_train_the_next_encoder(folder, tmp_path):
    store = TokenStore(folder / "tokens")
    tokenizer = load_tokenizer(folder / "tokenizer" / "artefact").tokenizer
    assert store.header.tokenizer_sha256 == tokenizer.sha256
    start = folder / "encoder" / "artefact"
    assert pretrain(folder, tmp_path / "run", "--tokens", folder / "tokens", "--init", start) == 0
    training = load_artefact(tmp_path / "run" / "artefact").training
    assert training["config"]["tokenizer_sha256"] == tokenizer.sha256
    assert training["finished"]


def test_the_held_out_scores_are_those_of_the_saved_weights(folder):
    scores = load_artefact(folder / "encoder" / "artefact").evaluation["masked_tokens"]
    config = load_pretrain_config(folder / "pretrain.toml")
    run = create_pretrain_run(
        config,
        checkpoint_path=folder / "encoder" / "checkpoint.pt",
        tokens=None,
        device=torch.device("cpu"),
        resume=True,
    )
    batches = held_out_batches(config.data, run.clips, store=None)
    again = score_masked_tokens(run.objective, batches, device=torch.device("cpu"))
    assert scores == again._asdict() | {"data": scores["data"]}
    assert scores["data"]["folds"] == [2]
    assert 0 < scores["unigram_entropy"] < scores["cross_entropy"]


def test_the_codebook_is_started_once_and_then_moves(folder):
    tokenizer = load_tokenizer(folder / "tokenizer" / "artefact").tokenizer
    assert tokenizer.codebook.is_started
    lengths = tokenizer.codebook.code_vectors.norm(dim=1)
    assert_close(lengths, torch.ones(16), atol=1e-5, rtol=0)
    last = records(folder / "tokenizer")[-1]
    assert {"loss/estimate", "loss/commitment", "codebook/usage"} <= last.keys()
    assert 1 <= last["codebook/perplexity"] <= 16


def test_tokens_of_another_manifest_are_refused(folder, tmp_path, capsys):
    write_corpus(tmp_path / "others", clips_per_class=5)
    manifest = tmp_path / "others" / "manifest.jsonl"
    status = pretrain(
        folder, tmp_path / "run", "--tokens", folder / "tokens", "--manifest", manifest
    )
    assert "expected the tokens of this manifest (15 clips)" in error_of(capsys, status)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_other_tokens(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert pretrain(folder, out, "--max-steps", 1) == 0
    config = (folder / "pretrain.toml").read_text() + "[random_projection]\nseed = 9\n"
    (folder / "other.toml").write_text(config)
    capsys.readouterr()
    status = run("pretrain", folder / "other.toml", "--out", out, "--resume")
    assert "expected to resume with random_projection.seed = 0, got 9" in error_of(capsys, status)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pretrain", "pretrain.toml", "--out", "encoder"), "expected a new folder or --resume"),
        (("pretrain", "pretrain.toml", "--out", "nowhere", "--resume"), "found no nowhere"),
        (("pretrain", "pretrain.toml", "--out", "new", "--tokens", "clips"), "a token store"),
        (
            ("pretrain", "pretrain.toml", "--out", "new", "--max-steps", "0"),
            "expected --max-steps above 0",
        ),
        (
            (
                "train-tokenizer",
                "tokenizer.toml",
                "--out",
                "new",
                "--teacher",
                "tokenizer/artefact",
            ),
            "artefact.json",
        ),
        (
            ("tokenize", "encoder/artefact", "--manifest", "clips/manifest.jsonl", "--out", "new"),
            "artefact.json",
        ),
    ],
)
def test_errors_are_one_line(folder, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folder)
    assert message in error_of(capsys, run(*arguments))
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("patch_size = 32\n", "encoder.patch_size: expected 16, got 32"),
        ("kernel = 3\n", "kernel: unknown key"),
    ],
)
def test_a_config_that_cannot_be_is_refused(tmp_path, capsys, line, message):
    (tmp_path / "bad.toml").write_text(PRETRAIN.replace("[encoder]\n", f"[encoder]\n{line}"))
    status = run("pretrain", tmp_path / "bad.toml", "--out", tmp_path / "run")
    assert message in error_of(capsys, status)
