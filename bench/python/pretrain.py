"""What a step of pre-training costs against the machine's limit, and what several masks save.

`python pretrain.py [--config CONFIG.toml] [--device cpu|cuda]`, with `training/` on the path.

Trains on generated clips and, after every step, multiplies large matrices. A share is the step's
rate (by the formula of `iterate/cost.py`: products of matrices only, three passes) over the rate of
the matrices just before and after, in the precision of the step; processor time, on cards the
clock. A step is all of it: fbank, masks, forward, backward, clipping, AdamW, metrics. Its clips lie
ready in memory; what reading gives is measured by itself, from FLAC files. Then the same number of
views (a clip under a mask) from fewer clips: each is read, turned into an fbank and named by the
tokenizer once, and masked 1, 2 or 4 times. Writes bench/results/pretrain.json.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import soundfile
import torch
from training_steps import (
    Block,
    MatrixRate,
    Tokens,
    flop_of,
    measure_steps,
    seconds_spent,
    with_masks,
)

from earshot_training.audio.fbank import SAMPLE_RATE
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.manifest import Clip, write_manifest
from earshot_training.data.row_alignment import ROW_OVERLAP, SAMPLES_PER_ROW
from earshot_training.data.unlabelled import create_token_batches, read_unlabelled_clips
from earshot_training.iterate.cost import FORMULA
from earshot_training.train.pretrain import PretrainConfig, load_pretrain_config

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "training" / "configs" / "pretrain"
RESULTS = REPOSITORY / "bench" / "results" / "pretrain.json"

Precision = Literal["fp32", "bf16"]

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
MASKS = (1, 2, 4)
TOKENIZERS: tuple[Tokens, ...] = ("random-projection", "distilled")
TOKENIZER_WORDS = {"random-projection": "random projection", "distilled": "distilled tokenizer"}
READING_BATCH = 8
READING_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A ratio, a number for each block, as the table of `npm run bench` has it."""

    key: str
    title: str
    values: list[float]

    def summary(self) -> dict[str, Any]:
        """All that the table shows."""
        bounds = {"lowest": min(self.values), "highest": max(self.values)}
        return {**asdict(self), "median": median(self.values), **bounds}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all measurements share."""

    config: PretrainConfig
    scratch: Path
    device: torch.device
    matrices: dict[Precision, MatrixRate]

    def steps(self, precision: Precision, *, tokens: Tokens, masks: int = 1) -> list[Block]:
        """Blocks of steps in a precision."""
        config = with_masks(self.config, masks)
        loop = replace(config.loop, precision=precision)
        return measure_steps(
            replace(config, loop=loop),
            self.scratch,
            tokens=tokens,
            matrices=self.matrices[precision],
            device=self.device,
        )


def main() -> None:
    """Measure, print a table, write the results."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as scratch:
        config = bench_config(options, Path(scratch))
        write_clips(config)
        matrices = {
            precision: MatrixRate(device, dtype, seconds=options.matrix_seconds)
            for precision, dtype in DTYPES.items()
        }
        bench = Bench(config=config, scratch=Path(scratch), device=device, matrices=matrices)
        figures = [figure.summary() for figure in measure(bench)]
    result = {
        "machine": machine(device),
        "config": options.config.stem,
        "blocks": options.blocks,
        "views_per_step": config.data.batch_size,
        "clip_seconds": config.data.max_rows * SAMPLES_PER_ROW / SAMPLE_RATE,
        "flop_per_view": flop_of(config),
        "formula": FORMULA,
        "figures": figures,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(to_table(result))


def measure(bench: Bench) -> Iterable[Figure]:
    """All figures, one after the other."""
    stored = {precision: bench.steps(precision, tokens="stored") for precision in DTYPES}
    for precision, blocks in stored.items():
        yield Figure(
            key=f"step-{precision}",
            title=f"a step, {precision}: share of the {precision} limit",
            values=[block.share for block in blocks],
        )
    yield Figure(
        key="bf16-over-fp32",
        title="a step, bf16: times as fast as fp32",
        values=ratios(stored["bf16"], stored["fp32"], "views_per_second"),
    )
    reading = reading_rate(bench)
    yield Figure(
        key="reading",
        title="reading FLAC: times as fast as a bf16 step",
        values=[reading / block.views_per_second for block in stored["bf16"]],
    )
    for tokens in TOKENIZERS:
        yield from mask_figures(bench, tokens)


def mask_figures(bench: Bench, tokens: Tokens) -> Iterable[Figure]:
    """Set views for the same compute beside those of one mask of every clip."""
    blocks = {masks: bench.steps("bf16", tokens=tokens, masks=masks) for masks in MASKS}
    for masks in MASKS[1:]:
        yield Figure(
            key=f"masks-{masks}-{tokens}",
            title=f"{masks} masks of each clip, {TOKENIZER_WORDS[tokens]}: "
            "views for the same compute",
            values=ratios(blocks[masks], blocks[1], "views_per_flop"),
        )


def ratios(upper: list[Block], lower: list[Block], rate: str) -> list[float]:
    """Quotients of a rate, block by block."""
    return [
        getattr(above, rate) / getattr(below, rate)
        for above, below in zip(upper, lower, strict=True)
    ]


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    has_card = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_card else "cpu")
    parser.add_argument("--config", type=Path, help="default: base on cards, tiny on processors")
    parser.add_argument("--views", type=int, help="of a step; default: 8, on cards the config's")
    parser.add_argument("--blocks", type=int, default=7, help="steps measured, after one more")
    parser.add_argument("--matrix-seconds", type=float, default=0.3, metavar="S")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of PyTorch")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    is_card = options.device == "cuda"
    options.config = options.config or CONFIGS / f"{'base' if is_card else 'tiny'}.toml"
    options.views = options.views or (None if is_card else 8)
    return options


def bench_config(options: argparse.Namespace, scratch: Path) -> PretrainConfig:
    """Fit a config to the measurement: made clips, one batch a step, one step more than blocks."""
    config = load_pretrain_config(options.config)
    views = options.views or config.data.batch_size - config.data.batch_size % max(MASKS)
    return replace(
        config,
        data=replace(
            config.data,
            manifest=scratch / "manifest.jsonl",
            folds=(),
            held_out_folds=(),
            batch_size=views,
            cache="none",
        ),
        loop=replace(config.loop, steps=options.blocks + 1, accumulate=1),
    )


def write_clips(config: PretrainConfig) -> None:
    """Write noise as FLAC files, each as long as the config's longest clip."""
    folder = config.data.manifest.parent
    samples = config.data.max_rows * SAMPLES_PER_ROW + ROW_OVERLAP
    generator = np.random.default_rng(0)
    clips = []
    for number in range(max(2 * READING_BATCH, config.data.batch_size)):
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


def reading_rate(bench: Bench) -> float:
    """Clips per second that reading alone gives, after a first batch."""
    data = replace(bench.config.data, batch_size=READING_BATCH)
    source = create_token_batches(data, read_unlabelled_clips(data), seed=0)
    feed = BatchFeed(source, workers=0, device=bench.device)
    feed.next_batch()
    started = seconds_spent(bench.device)
    for _ in range(READING_BATCHES):
        feed.next_batch()
    return READING_BATCHES * READING_BATCH / (seconds_spent(bench.device) - started)


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


def to_table(result: dict[str, Any]) -> str:
    """Lay the figures out."""
    lines = [
        f"{result['config']} on {result['machine']['device']}, {result['machine']['threads']} "
        f"threads, {result['views_per_step']} views of {result['clip_seconds']:.2f} s a step"
    ]
    lines += [
        f"{figure['title']:<75} {figure['median']:.3g} "
        f"({figure['lowest']:.3g} to {figure['highest']:.3g})"
        for figure in result["figures"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
