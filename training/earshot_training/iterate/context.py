"""What the stages of a run share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import to_dict
from earshot_training.data.manifest import Clip, read_manifest
from earshot_training.data.token_store import clip_order_sha256
from earshot_training.data.unlabelled import UnlabelledClips, read_unlabelled_clips
from earshot_training.errors import UserError
from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import IterateConfig, pretrain_config
from earshot_training.iterate.run_folder import RunFolder
from earshot_training.probe.cross_validation import choose_score_folds, scored_clips
from earshot_training.probe.probe import ProbeClips, usable_clips
from earshot_training.train.run_folder import RunLimits, clips_record


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run that is being worked on."""

    config: IterateConfig
    folder: RunFolder
    corpus: UnlabelledClips
    probe_clips: ProbeClips
    device: torch.device
    budget: Budget
    say: Callable[[str], None]

    def limits(self, *, until_step: int | None = None) -> RunLimits:
        """Limits of one training stage: the call's budget, and a step to pause at."""
        return RunLimits(max_steps=until_step, should_stop=self.budget.count_step)


def create_context(
    config: IterateConfig,
    folder: RunFolder,
    *,
    device: torch.device,
    budget: Budget,
    say: Callable[[str], None],
) -> RunContext:
    """Read both manifests and see that they can serve.

    Raises:
        UserError: a manifest cannot be read, nothing is held out, or the probe has no folds.

    """
    corpus = read_unlabelled_clips(pretrain_config(config, 1).data)
    if not corpus.train:
        raise UserError(f"{config.corpus.manifest}: expected clips outside the held-out folds")
    probe_clips = usable_clips(read_manifest(config.probe_manifest))
    choose_score_folds(probe_clips.folds, config.probe.score_folds)
    return RunContext(
        config=config,
        folder=folder,
        corpus=corpus,
        probe_clips=probe_clips,
        device=device,
        budget=budget,
        say=say,
    )


def describe_run(context: RunContext) -> dict[str, Any]:
    """Make the table by which a resumed run knows itself: config and clip lists, no paths."""
    config, corpus, probe = context.config, context.corpus, context.probe_clips
    plain = replace(config, corpus=replace(config.corpus, manifest=Path()), probe_manifest=Path())
    return {
        "config": to_dict(plain),
        "corpus_sha256": clip_order_sha256(corpus.manifest),
        "learnt_from": clips_record(corpus.of(corpus.train)),
        "held_out": clips_record(corpus.of(corpus.held_out)),
        "probe": {
            **clips_record(probe.clips),
            "clips_in_order_sha256": clip_order_sha256(probe.clips),
            "classes": len(probe.class_names),
            **_overlap(context),
        },
    }


def _overlap(context: RunContext) -> dict[str, Any]:
    """Count the scored clips, and those of them whose recording the encoders learn from."""
    corpus, probe = context.corpus, context.probe_clips
    learnt = {_recording(clip) for clip in corpus.of(corpus.train)}
    score_folds = choose_score_folds(probe.folds, context.config.probe.score_folds)
    scored = [probe.clips[index] for index in scored_clips(probe.folds, score_folds)]
    return {
        "score_folds": list(score_folds),
        "scored_clips": len(scored),
        "scored_clips_learnt_from": sum(_recording(clip) in learnt for clip in scored),
        "probe_clips_learnt_from": sum(_recording(clip) in learnt for clip in probe.clips),
    }


def _recording(clip: Clip) -> tuple[str, str]:
    return clip.source, clip.recording
