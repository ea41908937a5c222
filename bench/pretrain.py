"""How near a step of pre-training comes to the machine's limit, and whether reading keeps up.

`training/.venv/bin/python bench/pretrain.py [--config CONFIG.toml] [--device cpu|cuda]`

Trains on generated clips and, in turn with blocks of steps, multiplies large matrices: in float32
on processors, in bf16 on cards. The share is the step's rate (by the formula of `iterate/cost.py`:
products of matrices only, three passes) over the rate of the matrices just before and after. A step
is all of it: fbank, masks, forward, backward, clipping, AdamW, metrics; its clips and tokens lie
ready in memory. What reading gives is measured by itself, from FLAC files, by `--loader-workers`
threads. Writes bench/results/pretrain.json.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import torch

from earshot_training.audio.fbank import SAMPLE_RATE, num_rows
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.manifest import Clip, write_manifest
from earshot_training.data.row_alignment import ROW_OVERLAP, SAMPLES_PER_ROW
from earshot_training.data.sampler import SamplerPosition
from earshot_training.data.token_batches import TokenBatch
from earshot_training.data.unlabelled import create_token_batches, read_unlabelled_clips
from earshot_training.iterate.config import EncoderStageConfig
from earshot_training.iterate.cost import FORMULA, encoder_training_flop
from earshot_training.tokenizer.random_projection import RandomProjectionTokenizer
from earshot_training.train.loop import LoopSettings, TrainingLoop
from earshot_training.train.pretrain import (
    PretrainConfig,
    create_pretrain_run,
    load_pretrain_config,
)

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "training" / "configs" / "pretrain"
RESULTS = Path(__file__).resolve().parent / "results" / "pretrain.json"


@dataclass(frozen=True, kw_only=True)
class Block:
    """Steps between two measurements of the matrices."""

    step_flop_per_second: float
    matrix_flop_per_second: float
    """Mean of the rates before and after."""
    clips_per_second: float

    @property
    def share(self) -> float:
        """How much of the matrix rate the step reaches."""
        return self.step_flop_per_second / self.matrix_flop_per_second


class SameBatch:
    """A source whose every batch is one that lies on the device already."""

    position = SamplerPosition(epoch=0, batch=0)

    def __init__(self, batch: TokenBatch) -> None:
        self._batch = batch

    def restore(self, position: SamplerPosition) -> None:
        """Stay where it is."""

    def next_batch(self) -> TokenBatch:
        """Answer the batch."""
        return self._batch


class MatrixRate:
    """Rate of a square product of matrices in floating-point operations per second."""

    def __init__(self, device: torch.device, *, seconds: float) -> None:
        is_card = device.type == "cuda"
        self.size = 8192 if is_card else 2048
        self.dtype = torch.bfloat16 if is_card else torch.float32
        self._seconds = seconds
        self._device = device
        self._left, self._right = (
            torch.randn(self.size, self.size, device=device, dtype=self.dtype) for _ in range(2)
        )
        self._repeats = 1
        self._repeats = max(1, round(seconds / self._run()))

    def measure(self) -> float:
        """Multiply for about the seconds asked for."""
        return self._repeats * 2 * self.size**3 / self._run()

    def _run(self) -> float:
        synchronize(self._device)
        started = time.perf_counter()
        for _ in range(self._repeats):
            torch.mm(self._left, self._right)
        synchronize(self._device)
        return time.perf_counter() - started


class InterleavedLog:
    """As the log of the loop: after every block of steps, measures the matrices."""

    def __init__(
        self, matrices: MatrixRate, *, block_steps: int, flop_per_clip: float, device: torch.device
    ) -> None:
        self.blocks: list[Block] = []
        self._matrices = matrices
        self._block_steps = block_steps
        self._flop_per_clip = flop_per_clip
        self._device = device
        self._clips = 0.0
        self._rate_before = 0.0
        self._started = 0.0

    def step(self, record: Mapping[str, float]) -> None:
        """Count a step; the first block only warms up."""
        self._clips += record["clips"]
        if int(record["step"]) % self._block_steps != 0:
            return
        synchronize(self._device)
        seconds = time.perf_counter() - self._started
        rate = self._matrices.measure()
        if self._rate_before > 0:
            clips_per_second = self._clips / seconds
            self.blocks.append(
                Block(
                    step_flop_per_second=clips_per_second * self._flop_per_clip,
                    matrix_flop_per_second=(self._rate_before + rate) / 2,
                    clips_per_second=clips_per_second,
                )
            )
        self._rate_before, self._clips = rate, 0.0
        self._started = time.perf_counter()

    def close(self) -> None:
        """Keep what was measured."""


def synchronize(device: torch.device) -> None:
    """Wait for a card to finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure, print a table, write the results."""
    options = parse_options()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as scratch:
        config = bench_config(options, Path(scratch))
        write_clips(config, options.clips)
        flop_per_clip = flop_of(config)
        blocks, matrices = measure_steps(
            config, options, Path(scratch), device=device, flop_per_clip=flop_per_clip
        )
        loader_rate = measure_loader(config, options, device=device)
    result = {
        "machine": machine(device),
        "config": options.config.stem,
        "precision": config.loop.precision,
        "clips_per_batch": config.data.batch_size,
        "clip_seconds": config.data.max_rows * SAMPLES_PER_ROW / SAMPLE_RATE,
        "flop_per_clip": flop_per_clip,
        "formula": FORMULA,
        "matrices": f"{matrices.size} x {matrices.size}, {matrices.dtype}",
        "block_steps": options.block_steps,
        "blocks": [asdict(block) | {"share": block.share} for block in blocks],
        "median_share": median(block.share for block in blocks),
        "median_clips_per_second": median(block.clips_per_second for block in blocks),
        "loader_workers": options.loader_workers,
        "loader_clips_per_second": loader_rate,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(to_table(result, blocks))


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    has_card = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_card else "cpu")
    parser.add_argument("--config", type=Path, help="default: base on cards, tiny on processors")
    parser.add_argument("--batch-size", type=int, metavar="N", help="instead of the config's")
    parser.add_argument("--blocks", type=int, default=7, help="measured, after one to warm up")
    parser.add_argument("--block-steps", type=int, default=2, metavar="N")
    parser.add_argument("--matrix-seconds", type=float, default=1.0, metavar="S")
    parser.add_argument("--clips", type=int, default=128, help="files that are read")
    parser.add_argument("--loader-workers", type=int, default=2, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads of PyTorch")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    name = "base" if options.device == "cuda" else "tiny"
    options.config = options.config or CONFIGS / f"{name}.toml"
    return options


def bench_config(options: argparse.Namespace, scratch: Path) -> PretrainConfig:
    """Fit a config to the measurement: made clips, one batch a step, the matrices' precision."""
    config = load_pretrain_config(options.config)
    return replace(
        config,
        data=replace(
            config.data,
            manifest=scratch / "manifest.jsonl",
            folds=(),
            held_out_folds=(),
            batch_size=options.batch_size or config.data.batch_size,
            cache="none",
        ),
        loop=replace(
            config.loop,
            steps=options.block_steps * (options.blocks + 1),
            accumulate=1,
            precision="bf16" if options.device == "cuda" else "fp32",
        ),
    )


def write_clips(config: PretrainConfig, count: int) -> None:
    """Write noise as FLAC files, each as long as the config's longest clip."""
    folder = config.data.manifest.parent
    samples = config.data.max_rows * SAMPLES_PER_ROW + ROW_OVERLAP
    generator = np.random.default_rng(0)
    clips = []
    for number in range(max(count, config.data.batch_size)):
        path = folder / f"{number}.flac"
        soundfile.write(path, 0.1 * generator.standard_normal(samples), SAMPLE_RATE)
        clips.append(
            Clip(
                path=path,
                mids=(),
                class_name=None,
                fold=None,
                source="made",
                recording=path.stem,
                seconds=samples / SAMPLE_RATE,
                license=None,
            )
        )
    write_manifest(config.data.manifest, clips)


def flop_of(config: PretrainConfig) -> float:
    """Work of one clip in one step."""
    stage = EncoderStageConfig(
        network=config.encoder,
        loop=config.loop,
        predictor=config.predictor,
        masked_tokens=config.masked_tokens,
    )
    patches = config.data.max_rows * config.encoder.bands
    return encoder_training_flop(stage, patches, config.random_projection.codebook_size)


def measure_steps(
    config: PretrainConfig,
    options: argparse.Namespace,
    scratch: Path,
    *,
    device: torch.device,
    flop_per_clip: float,
) -> tuple[list[Block], MatrixRate]:
    """Train on one batch that lies ready, in turn with the matrices."""
    run = create_pretrain_run(
        config, checkpoint_path=scratch / "unused.pt", tokens=None, device=device, resume=False
    )
    loop = TrainingLoop(
        run.objective,
        SameBatch(tokenised_batch(config, device)),
        LoopSettings(
            loop=config.loop,
            optimizer=config.optimizer,
            averaging=config.averaging,
            seed=config.seed,
            run_config={},
        ),
        checkpoint_path=scratch / "checkpoint.pt",
        device=device,
    )
    matrices = MatrixRate(device, seconds=options.matrix_seconds)
    log = InterleavedLog(
        matrices, block_steps=options.block_steps, flop_per_clip=flop_per_clip, device=device
    )
    loop.run(log)
    return log.blocks, matrices


def tokenised_batch(config: PretrainConfig, device: torch.device) -> TokenBatch:
    """Read a batch and name its patches, as a token store would have them."""
    clips = read_unlabelled_clips(config.data)
    batch = create_token_batches(config.data, clips, seed=config.seed).next_batch().to(device)
    tokenizer = RandomProjectionTokenizer(config.random_projection, statistics=config.fbank)
    tokenizer.to(device)
    fbank = tokenizer.fbank(batch.waveforms)
    return batch._replace(tokens=tokenizer.tokenize_fbank(fbank, num_rows(batch.num_samples)))


def measure_loader(
    config: PretrainConfig, options: argparse.Namespace, *, device: torch.device
) -> float:
    """Clips per second that reading alone gives, twice through the files after a first batch."""
    clips = read_unlabelled_clips(config.data)
    batch_size = min(config.data.batch_size, 16)
    source = create_token_batches(replace(config.data, batch_size=batch_size), clips, seed=0)
    feed = BatchFeed(source, workers=options.loader_workers, device=device)
    feed.next_batch()
    batches = max(4, 2 * len(clips.train) // batch_size)
    started = time.perf_counter()
    for _ in range(batches):
        feed.next_batch()
    return batches * batch_size / (time.perf_counter() - started)


def machine(device: torch.device) -> dict[str, Any]:
    """Say on what it was measured."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def processor_name() -> str:
    """Name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def to_table(result: Mapping[str, Any], blocks: list[Block]) -> str:
    """Lay the blocks out, and what they come to."""
    lines = [
        f"{result['config']} on {result['machine']['device']}, {result['precision']}, "
        f"{result['machine']['threads']} threads, batches of {result['clips_per_batch']} clips of "
        f"{result['clip_seconds']:.2f} s",
        f"{'block':>5} {'step GFLOP/s':>14} {'matrix GFLOP/s':>15} {'share':>7} {'clips/s':>9}",
    ]
    lines += [
        f"{number:>5} {block.step_flop_per_second / 1e9:>14.1f} "
        f"{block.matrix_flop_per_second / 1e9:>15.1f} {block.share:>7.1%} "
        f"{block.clips_per_second:>9.2f}"
        for number, block in enumerate(blocks, start=1)
    ]
    lines.append(
        f"median share of the matrix rate {result['median_share']:.1%}; step "
        f"{result['median_clips_per_second']:.2f} clips/s, reading with "
        f"{result['loader_workers']} threads {result['loader_clips_per_second']:.0f} clips/s"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
