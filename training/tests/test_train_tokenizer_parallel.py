"""`train-tokenizer` under torchrun: two processes do what one does with the double batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from earshot_training.audio.fbank import num_rows
from earshot_training.cli import main
from earshot_training.config import EncoderConfig
from earshot_training.data.manifest import read_manifest, write_manifest
from earshot_training.data.sampler import mix_seed
from earshot_training.data.unlabelled import UnlabelledClips, create_token_batches
from earshot_training.model.artefact import Artefact, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.tokenizer.artefact import load_tokenizer
from earshot_training.tokenizer.distilled import DistilledTokenizer
from earshot_training.train.train_tokenizer import TrainTokenizerConfig
from tests.made_clips import write_corpus
from tests.test_train_parallel import BATCH_SIZE, SHARED, STEPS, records, torchrun

# As many vectors as the batches of both processes give: 2 x 4 clips of 3 rows of 8 patches.
START_VECTORS = 2 * BATCH_SIZE * 3 * 8
CONFIG = (
    SHARED
    + """
[data]
manifest = "clips/manifest.jsonl"
batch_size = BATCH_SIZE
max_rows = 3
roll = false

[codebook]
codebook_size = 16
codebook_dim = 8
decay = 0.9

[codebook_start]
vectors = START_VECTORS

[distillation]
estimator_layers = 1
"""
).replace("START_VECTORS", str(START_VECTORS))
TEACHER = EncoderConfig(
    patch_dim=16, dim=16, ffn_dim=32, layers=2, heads=2, conv_pos_kernel=16, conv_pos_groups=4
)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clips of one length, a teacher, and the config with a batch and with the double batch."""
    manifest = write_corpus(tmp_path / "clips", clips_per_class=32)
    write_manifest(manifest, [clip for clip in read_manifest(manifest) if clip.seconds == 0.5])
    torch.manual_seed(0)
    save_artefact(tmp_path / "teacher", Artefact(model=Beats(TEACHER), kind="pretrained"))
    for name, batch_size in (("single", BATCH_SIZE), ("double", 2 * BATCH_SIZE)):
        config = CONFIG.replace("BATCH_SIZE", str(batch_size))
        (tmp_path / f"{name}.toml").write_text(config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@torch.no_grad()
def start_like_two_processes(
    tokenizer: DistilledTokenizer,
    config: TrainTokenizerConfig,
    clips: UnlabelledClips,
    *,
    device: torch.device,
) -> None:
    """Start the codebook from the patches that each of two processes draws by its own seed."""
    data = replace(config.data, batch_size=BATCH_SIZE)
    tokenizer.eval()
    vectors = []
    for rank in range(2):
        seed = mix_seed(config.seed, 1, rank)
        batch = create_token_batches(data, clips, seed=seed).next_batch().to(device)
        found, patch_padding = tokenizer.patch_vectors(
            tokenizer.fbank(batch.waveforms), num_rows(batch.num_samples)
        )
        vectors.append(found[~patch_padding])
    assert sum(map(len, vectors)) == START_VECTORS
    tokenizer.codebook.start(torch.cat(vectors), seed=config.seed)


def test_two_processes_of_the_command_equal_one_with_the_double_batch(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    command = ("train-tokenizer", "single.toml", "--teacher", "teacher", "--out", "two")
    said, errors = torchrun(workplace, *command).communicate(timeout=300)
    assert said.count(f"step {STEPS}: finished") == 1, errors

    start = "earshot_training.train.train_tokenizer.start_codebook"
    monkeypatch.setattr(start, start_like_two_processes)
    options = ("--teacher", "teacher", "--out", "one", "--device", "cpu", "--threads", "1")
    assert main(["train-tokenizer", "double.toml", *options]) == 0

    one, two = workplace / "one", workplace / "two"
    assert len(records(one)) == len(records(two)) == STEPS
    for alone, together in zip(records(one), records(two), strict=True):
        assert alone["clips"] == together["clips"] == 2 * BATCH_SIZE
        for name in ("loss", "loss/estimate", "loss/commitment", "gradient_norm"):
            assert together[name] == pytest.approx(alone[name], abs=1e-5), name
        for name in ("codebook/usage", "codebook/perplexity"):
            assert together[name] == pytest.approx(alone[name], abs=1e-4), name
    weights, others = (load_file(run / "artefact" / "weights.safetensors") for run in (one, two))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert_close(others[name], value, atol=1e-5, rtol=0, msg=name)

    made = load_tokenizer(two / "artefact").training
    assert made["processes"] == 2
    assert made["clips_seen"] == STEPS * 2 * BATCH_SIZE
    assert records(one)[0]["loss"] != pytest.approx(records(one)[-1]["loss"], rel=1e-3)
