"""Two processes do what one does with the double batch: losses, weights, effort, orderly ending."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from earshot_training.config_file import load_config
from earshot_training.data.manifest import read_manifest, write_manifest
from earshot_training.data.patch_mask import PatchMask, draw_patch_mask
from earshot_training.data.sampler import mix_seed
from earshot_training.errors import UserError
from earshot_training.model.artefact import load_artefact
from earshot_training.objectives.masked_tokens import MaskedTokensObjective
from earshot_training.processes import process_rank
from earshot_training.train.finetune import FinetuneConfig, create_tagging_run
from earshot_training.train.pretrain import PretrainConfig, create_pretrain_run
from earshot_training.train.run_folder import RunLimits, train_in_folder
from tests.made_clips import TINY_CONFIG, write_corpus

CPU = torch.device("cpu")
STEPS = 3
BATCH_SIZE = 4
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

[loop]
steps = 3
print_every_steps = 1

# Some gradients are zero but for rounding (a key's bias moves no softmax). AdamW would blow them up
# to whole steps, whatever their size: with this epsilon they stay what they are.
[optimizer]
epsilon = 1e-4
"""
TAGGING = (
    SHARED
    + f"""
[data]
manifest = "clips/manifest.jsonl"
batch_size = {BATCH_SIZE}

[augment]
roll = false
max_gain_db = 0.0
mixup_probability = 0.0
time_masks = 0
mel_masks = 0
"""
)
MASKED = (
    SHARED
    + f"""
[data]
manifest = "clips/manifest.jsonl"
batch_size = {BATCH_SIZE}
max_rows = 3
roll = false

[predictor]
layers = 1
"""
)
RANDOM = """
dropout = 0.2
layer_drop = 0.5
"""

Case = Callable[[Path, int, int], Any]


def read(cls: type[Any], folder: Path, text: str) -> Any:
    path = folder / f"{process_rank()}.toml"
    path.write_text(text)
    config = load_config(cls, path)
    return replace(config, data=replace(config.data, manifest=folder / "clips" / "manifest.jsonl"))


def with_batches(config: Any, *, batch_size: int, accumulate: int) -> Any:
    return replace(
        config,
        data=replace(config.data, batch_size=batch_size),
        loop=replace(config.loop, accumulate=accumulate),
    )


def tagging(folder: Path, batch_size: int, accumulate: int, text: str = TAGGING) -> Any:
    config = read(FinetuneConfig, folder, text)
    return create_tagging_run(
        with_batches(config, batch_size=batch_size, accumulate=accumulate),
        checkpoint_path=folder / "unused.pt",
        device=CPU,
        resume=False,
        loader_workers=1,  # read ahead: the result must not know
    )


def masked_tokens(folder: Path, batch_size: int, accumulate: int, text: str = MASKED) -> Any:
    config = read(PretrainConfig, folder, text)
    return create_pretrain_run(
        with_batches(config, batch_size=batch_size, accumulate=accumulate),
        checkpoint_path=folder / "unused.pt",
        tokens=None,
        device=CPU,
        resume=False,
    )


def random_tagging(folder: Path, batch_size: int, accumulate: int) -> Any:
    """All that is random: augmentation, dropout, layers dropped, patches left out."""
    text = TAGGING.split("[augment]")[0].replace("heads = 2", "heads = 2" + RANDOM)
    text += "[augment]\nkept_patch_share = 0.5\n"
    return tagging(folder, batch_size, accumulate, text)


def random_masked_tokens(folder: Path, batch_size: int, accumulate: int) -> Any:
    text = MASKED.replace("heads = 2", "heads = 2" + RANDOM).replace("roll = false", "roll = true")
    return masked_tokens(folder, batch_size, accumulate, text)


CASES: dict[str, Case] = {
    "tagging": tagging,
    "masked_tokens": masked_tokens,
    "random_tagging": random_tagging,
    "random_masked_tokens": random_masked_tokens,
}


def train(case: Case, folder: Path, name: str, *, batch_size: int, accumulate: int) -> None:
    """Train for three steps; the first process leaves losses and weights, the others weights."""
    run = case(folder, batch_size, accumulate)
    out = folder / name
    train_in_folder(run.loop, out, print_every_steps=1, limits=RunLimits(), say=lambda _: None)
    out.mkdir(exist_ok=True)
    torch.save(run.model.state_dict(), out / f"{process_rank()}.pt")


def _train_in_two(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    for name, case in CASES.items():
        train(case, folder, f"{name}-two", batch_size=BATCH_SIZE, accumulate=1)
        if name.startswith("random"):
            train(case, folder, f"{name}-four", batch_size=BATCH_SIZE, accumulate=2)
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of one length, and what two processes made of them."""
    folder = tmp_path_factory.mktemp("parallel")
    manifest = write_corpus(folder / "clips", clips_per_class=32)
    write_manifest(manifest, [clip for clip in read_manifest(manifest) if clip.seconds == 0.5])
    torch.multiprocessing.spawn(_train_in_two, args=(folder,), nprocs=2)
    return folder


def records(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def weights(run: Path, rank: int = 0) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(run / f"{rank}.pt", weights_only=True)
    return state


def assert_equal_runs(one: Path, two: Path, *, batches: int = 2) -> None:
    assert len(records(one)) == len(records(two)) == STEPS
    for alone, together in zip(records(one), records(two), strict=True):
        assert alone["clips"] == together["clips"] == batches * BATCH_SIZE
        assert alone["audio_seconds"] == pytest.approx(together["audio_seconds"])
        for name in ("loss", "gradient_norm", "learning_rate"):
            assert together[name] == pytest.approx(alone[name], abs=1e-5), name
    for name, value in weights(one).items():
        assert_close(weights(two)[name], value, atol=1e-6, rtol=0, msg=name)
        assert torch.equal(weights(two)[name], weights(two, rank=1)[name]), name


class MasksOfTwoHalves(MaskedTokensObjective):
    """Draws the masks of a double batch as two processes do, each for its half."""

    step = 0

    def _draw_mask(self, rows: Tensor, _: torch.Generator) -> PatchMask:
        halves = [
            draw_patch_mask(half, hidden_ratio=0.75, generator=self._generator_of(number))
            for number, half in enumerate(rows.chunk(2))
        ]
        self.step += 1
        places = int(rows.max()) * 8 * len(rows) // 2
        return PatchMask(
            torch.cat([half.kept for half in halves]),
            torch.cat([half.hidden + number * places for number, half in enumerate(halves)]),
        )

    def _generator_of(self, process: int) -> torch.Generator:
        generator = torch.Generator().manual_seed(mix_seed(3, self.step, process))
        torch.randint(2**62, (), generator=generator)  # the layers to drop are drawn first
        return generator


@pytest.mark.parametrize("name", ["tagging", "masked_tokens"])
def test_two_processes_equal_one_with_the_double_batch(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("earshot_training.train.pretrain.MaskedTokensObjective", MasksOfTwoHalves)
    train(CASES[name], folder, f"{name}-double", batch_size=2 * BATCH_SIZE, accumulate=1)
    assert_equal_runs(folder / f"{name}-double", folder / f"{name}-two")


@pytest.mark.parametrize("name", ["random_tagging", "random_masked_tokens"])
@pytest.mark.parametrize(("together", "batches"), [("two", 2), ("four", 4)])
def test_two_processes_equal_one_with_as_many_batches_a_step(
    name: str, together: str, batches: int, folder: Path
):
    alone = f"{name}-alone-{together}"
    train(CASES[name], folder, alone, batch_size=BATCH_SIZE, accumulate=batches)
    assert_equal_runs(folder / alone, folder / f"{name}-{together}", batches=batches)


def test_what_is_random_moves_the_loss(folder: Path):
    assert records(folder / "tagging-two")[0]["loss"] != pytest.approx(
        records(folder / "random_tagging-two")[0]["loss"], rel=1e-3
    )


def torchrun(workplace: Path, *options: str) -> subprocess.Popen[str]:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "earshot_training", *options, "--device", "cpu", "--threads", "1"]
    return subprocess.Popen(
        [sys.executable, *launch, *command],
        cwd=workplace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_torchrun_stops_at_a_signal_and_goes_on(tmp_path: Path):
    write_corpus(tmp_path / "clips")
    (tmp_path / "tiny.toml").write_text(TINY_CONFIG.replace("steps = 6", "steps = 40"))
    finetune = ("finetune", "tiny.toml", "--out", "run")
    first = torchrun(tmp_path, *finetune)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("step "):
            first.send_signal(signal.SIGTERM)
            break
    first.communicate(timeout=120)
    stopped_at = len(records(tmp_path / "run"))
    assert 0 < stopped_at < 40
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert checkpoint["progress"]["step"] == stopped_at
    assert checkpoint["processes"] == 2
    said, errors = torchrun(tmp_path, *finetune, "--resume").communicate(timeout=120)
    assert said.count("step 40 of 40: finished") == 1, errors
    assert [record["step"] for record in records(tmp_path / "run")] == [*range(1, 41)]
    assert {record["clips"] for record in records(tmp_path / "run")} == {2 * 2 * 4}
    training = load_artefact(tmp_path / "run" / "artefact").training
    assert training["processes"] == 2
    assert training["clips_seen"] == 40 * 16


def test_commands_for_one_process_refuse_torchrun(tmp_path: Path):
    _, errors = torchrun(tmp_path, "probe", "artefact", "--manifest", "manifest.jsonl").communicate(
        timeout=120
    )
    assert "expected this command without torchrun" in errors


def test_another_number_of_processes_is_refused(tmp_path: Path):
    write_corpus(tmp_path / "clips")
    run = tagging(tmp_path, BATCH_SIZE, 1)
    limits = RunLimits(max_steps=1)
    train_in_folder(run.loop, tmp_path, print_every_steps=1, limits=limits, say=lambda _: None)
    state = torch.load(tmp_path / "unused.pt", weights_only=True)
    torch.save(state | {"processes": 4}, tmp_path / "unused.pt")
    with pytest.raises(UserError, match="expected to resume with 4 processes, got 1"):
        run.loop.restore()
