"""What the tests of the loop share: configs of a toy size, and how a run is worked on."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import (
    IterateConfig,
    SupervisedTeacherConfig,
    load_iterate_config,
)
from earshot_training.iterate.context import create_context
from earshot_training.iterate.loop import iterate
from earshot_training.iterate.outcome import Outcome
from earshot_training.iterate.run_folder import RunFolder
from earshot_training.train.loop import LoopConfig
from earshot_training.train.tagging_data import DataConfig

TOY_CONFIG = Path(__file__).parents[1] / "configs" / "iterate" / "toy.toml"
SHORT_STEPS = {"encoder": 5, "tokenizer": 4, "teacher": 3}


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in the same order in all runs; networks this small gain nothing from more threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def short_config(manifest: Path) -> IterateConfig:
    """The toy config with a handful of steps; its limit comes before any second judgement."""
    toy = load_iterate_config(TOY_CONFIG)
    encoder = dataclasses.replace(
        toy.encoder,
        batch_size=8,
        loop=dataclasses.replace(toy.encoder.loop, steps=SHORT_STEPS["encoder"]),
    )
    tokenizer = dataclasses.replace(
        toy.tokenizer,
        batch_size=8,
        loop=dataclasses.replace(toy.tokenizer.loop, steps=SHORT_STEPS["tokenizer"]),
        codebook_start=dataclasses.replace(toy.tokenizer.codebook_start, vectors=500),
    )
    return dataclasses.replace(
        toy,
        corpus=dataclasses.replace(toy.corpus, manifest=manifest),
        probe_manifest=manifest,
        encoder=encoder,
        tokenizer=tokenizer,
        max_iterations=3,
    )


def with_supervised_teacher(config: IterateConfig, manifest: Path) -> IterateConfig:
    """Let a fine-tuned encoder teach the third tokenizer; its labels are those of folds 1 and 2."""
    teacher = SupervisedTeacherConfig(
        from_iteration=3,
        data=DataConfig(manifest=manifest, folds=(1, 2), batch_size=8),
        loop=LoopConfig(steps=SHORT_STEPS["teacher"]),
    )
    return dataclasses.replace(config, supervised_teacher=teacher)


def work(config: IterateConfig, folder: Path, **limits) -> Outcome:
    """One call of the loop."""
    context = create_context(
        config,
        RunFolder(folder),
        device=torch.device("cpu"),
        budget=Budget(**limits),
        say=lambda _: None,
    )
    with one_thread():
        return iterate(context)
