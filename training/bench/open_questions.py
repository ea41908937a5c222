"""What the paper leaves open, measured: one answer changed at a time, everything else equal.

`python -m bench.open_questions CONFIG.toml --out FOLDER [--teacher ARTEFACT] [--only NAME ...]`,
from training/. CONFIG is one of `iterate`; its encoder stage, on tokens of its random projection,
is trained once for each answer to the encoder's questions, and its tokenizer stage, taught by
ARTEFACT, once for each answer to the tokenizer's. FOLDER keeps `NAME.json` of every finished
answer, so that a stopped call goes on, and `table.md`. One seed, one size, one corpus: a difference
below two standard errors is no finding.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earshot_training.config import to_dict
from earshot_training.data.manifest import read_manifest
from earshot_training.iterate.config import (
    EncoderStageConfig,
    IterateConfig,
    load_iterate_config,
    pretrain_config,
    tokenizer_config,
)
from earshot_training.iterate.cost import encoder_training_flop
from earshot_training.model.artefact import load_artefact
from earshot_training.objectives.masked_tokens import MaskedTokensConfig
from earshot_training.probe.paired import paired_gain
from earshot_training.probe.probe import ProbeClips, probe_encoder, usable_clips
from earshot_training.tokenizer.make_tokens import make_tokens
from earshot_training.tokenizer.random_projection import Norm
from earshot_training.train.pretrain import pretrain
from earshot_training.train.run_folder import ARTEFACT_FOLDER
from earshot_training.train.train_tokenizer import train_tokenizer

BASE = "base"
CPU = torch.device("cpu")
Change = Callable[[IterateConfig], IterateConfig]
Result = dict[str, Any]


def of_masked_tokens(change: Callable[[MaskedTokensConfig], MaskedTokensConfig]) -> Change:
    """Change `[encoder.masked_tokens]`."""
    return lambda config: _with_encoder(
        config, lambda stage: replace(stage, masked_tokens=change(stage.masked_tokens))
    )


def of_norm(norm: Norm) -> Change:
    """Change the normalisation of the random projection."""
    return lambda config: replace(
        config, random_projection=replace(config.random_projection, norm=norm)
    )


def two_masks_of_half_the_clips(config: IterateConfig) -> IterateConfig:
    """Mask every clip twice: as many views and almost as many operations, half of the clips."""
    changed = of_masked_tokens(lambda masked: replace(masked, masks_per_clip=2))(config)
    return _with_encoder(
        changed, lambda stage: replace(stage, batch_size=max(1, stage.batch_size // 2))
    )


def of_commitment(weight: float) -> Change:
    """Change the commitment weight, in its sum form."""

    def change(config: IterateConfig) -> IterateConfig:
        stage = config.tokenizer
        distillation = replace(stage.distillation, commitment_weight=weight)
        return replace(config, tokenizer=replace(stage, distillation=distillation))

    return change


ENCODER_ANSWERS: Mapping[str, Change] = {
    BASE: lambda config: config,
    "positions-compact": of_masked_tokens(lambda masked: replace(masked, positions="compact")),
    "label-smoothing-0.1": of_masked_tokens(lambda masked: replace(masked, label_smoothing=0.1)),
    "two-masks": two_masks_of_half_the_clips,
    "norm-layer-norm": of_norm("layer_norm"),
    "norm-none": of_norm("none"),
}
TOKENIZER_ANSWERS: Mapping[str, Change] = {
    f"commitment-{weight}": of_commitment(weight) for weight in (0.04, 0.25, 1.0)
}


def main() -> None:
    """Train what is not in the folder yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="artefact that teaches the tokenizers")
    parser.add_argument("--only", nargs="+", choices=[*ENCODER_ANSWERS, *TOKENIZER_ANSWERS])
    parser.add_argument("--steps", type=int, help="of each encoder, instead of the config's")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    wanted = options.only or [*ENCODER_ANSWERS, *(TOKENIZER_ANSWERS if options.teacher else ())]
    if options.teacher is None and not set(wanted) <= set(ENCODER_ANSWERS):
        parser.error("expected --teacher ARTEFACT for the answers of the tokenizer")
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    config = _with_steps(load_iterate_config(options.config), options.steps)
    clips = usable_clips(read_manifest(config.probe_manifest))
    for name in wanted:
        if name in ENCODER_ANSWERS:
            changed = ENCODER_ANSWERS[name](config)
            _once(options.out, name, partial(_train_encoder, changed, clips))
        else:
            changed = TOKENIZER_ANSWERS[name](config)
            _once(options.out, name, partial(_train_tokenizer, changed, clips, options.teacher))
    (options.out / "table.md").write_text(to_tables(options.out), encoding="utf-8")
    print(to_tables(options.out))


def _once(folder: Path, name: str, measure: Callable[[], Result]) -> None:
    path = folder / f"{name}.json"
    if path.exists():
        return
    result = measure()
    path.write_text(json.dumps(result) + "\n", encoding="utf-8")
    print(name, {key: value for key, value in result.items() if key != "correct"}, flush=True)


def _train_encoder(config: IterateConfig, clips: ProbeClips) -> Result:
    stage = pretrain_config(config, 1)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "encoder"
        run = pretrain(stage, out=out, tokens=None, device=CPU, say=print)
        artefact = load_artefact(out / ARTEFACT_FOLDER)
    scores = artefact.evaluation["masked_tokens"]
    probe = probe_encoder(artefact.model, clips, config.probe, device=CPU)
    progress = run.loop.progress
    rows = config.corpus.max_rows
    flop = encoder_training_flop(
        config.encoder, rows * stage.encoder.bands, config.random_projection.codebook_size
    )
    return {
        "correct": probe.linear_correct.astype(int).tolist(),
        "knn_percent": 100 * probe.knn_accuracy,
        "cross_entropy": scores["cross_entropy"],
        "unigram_entropy": scores["unigram_entropy"],
        "accuracy_percent": 100 * scores["accuracy"],
        "perplexity": scores["perplexity"],
        "clips": progress.clips,
        "seconds": progress.wall_seconds,
        "flop": progress.clips * stage.masked_tokens.masks_per_clip * flop,
        "config": to_dict(config.encoder),
    }


def _train_tokenizer(config: IterateConfig, clips: ProbeClips, teacher: Path) -> Result:
    stage = tokenizer_config(config, 2, is_reseeded=False)
    with tempfile.TemporaryDirectory() as scratch:
        run = train_tokenizer(
            stage, teacher=teacher, out=Path(scratch) / "tokenizer", device=CPU, say=print
        )
        held_out = [clip for clip in clips.clips if clip.fold in config.corpus.held_out_folds]
        made = make_tokens(run.tokenizer, held_out, Path(scratch) / "tokens", device=CPU)
        lines = (Path(scratch) / "tokenizer" / "metrics.jsonl").read_text().splitlines()
    last = [json.loads(line) for line in lines][-max(1, len(lines) // 10) :]
    return {
        "estimate_loss": float(np.mean([row["loss/estimate"] for row in last])),
        "commitment_loss": float(np.mean([row["loss/commitment"] for row in last])),
        "perplexity": made.perplexity,
        "usage_percent": 100 * made.codebook_usage,
        "seconds": run.loop.progress.wall_seconds,
    }


def to_tables(folder: Path) -> str:
    """Tables of what lies in the folder, differences to the base paired over clips."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    lines = [
        "| answer | probe % | against base, points | kNN % | M nats / unigram | perplexity | "
        "seconds / base |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    base = results.get(BASE)
    lines += [
        _encoder_line(name, results[name], base) for name in ENCODER_ANSWERS if name in results
    ]
    lines += ["", "| commitment | 1 - cosine | commitment loss | perplexity | codes in use % |"]
    lines.append("| --- | --- | --- | --- | --- |")
    lines += [_tokenizer_line(name, results[name]) for name in TOKENIZER_ANSWERS if name in results]
    return "\n".join(lines) + "\n"


def _encoder_line(name: str, row: Result, base: Result | None) -> str:
    correct = np.array(row["correct"], dtype=bool)
    against, time = "", ""
    if base is not None:
        gain = paired_gain(correct, np.array(base["correct"], dtype=bool))
        against = f"{gain.gain_pp:+.1f} ± {gain.standard_error_pp:.1f}"
        time = f"{row['seconds'] / base['seconds']:.2f}"
    return (
        f"| {name} | {100 * correct.mean():.1f} | {'' if name == BASE else against} | "
        f"{row['knn_percent']:.1f} | {row['cross_entropy']:.3f} / {row['unigram_entropy']:.3f} | "
        f"{row['perplexity']:.0f} | {time} |"
    )


def _tokenizer_line(name: str, row: Result) -> str:
    return (
        f"| {name.removeprefix('commitment-')} | {row['estimate_loss']:.3f} | "
        f"{row['commitment_loss']:.3f} | {row['perplexity']:.0f} | {row['usage_percent']:.0f} |"
    )


def _with_steps(config: IterateConfig, steps: int | None) -> IterateConfig:
    if steps is None:
        return config
    return _with_encoder(
        config, lambda stage: replace(stage, loop=replace(stage.loop, steps=steps))
    )


def _with_encoder(
    config: IterateConfig, change: Callable[[EncoderStageConfig], EncoderStageConfig]
) -> IterateConfig:
    return replace(config, encoder=change(config.encoder))


if __name__ == "__main__":
    main()
