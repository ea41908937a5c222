"""What the stages of a run share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import to_dict
from earshot_training.data.manifest import Clip, read_manifest, write_manifest
from earshot_training.data.readable import leave_out_unreadable, say_faults
from earshot_training.data.token_store import clip_order_sha256
from earshot_training.data.unlabelled import UnlabelledClips, read_unlabelled_clips
from earshot_training.errors import UserError
from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import IterateConfig, pretrain_config, with_manifests
from earshot_training.iterate.run_folder import RunFolder
from earshot_training.probe.cross_validation import choose_score_folds, scored_clips
from earshot_training.probe.probe import ProbeClips, usable_clips
from earshot_training.train.run_folder import RunLimits, clips_record
from earshot_training.train.tagging_data import read_training_clips

CORPUS_FILE = "corpus.jsonl"


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run that is being worked on."""

    config: IterateConfig
    """Its corpus is the manifest in the run's folder, of the clips that can be opened."""
    folder: RunFolder
    corpus: UnlabelledClips
    probe_clips: ProbeClips
    device: torch.device
    budget: Budget
    say: Callable[[str], None]
    loader_workers: int = 0
    """Threads that read clips ahead."""

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
    loader_workers: int = 0,
) -> RunContext:
    """Read the manifests, begin the run or recognise it, and leave out what cannot be opened.

    Raises:
        UserError: a manifest cannot be read or has nothing to learn from, the probe has no folds,
            or another run lies in the folder.

    """
    corpus = _readable_corpus(config, say)
    probe_clips = _readable_probe_clips(config, say)
    folder.begin(_describe_run(config, corpus, probe_clips))
    manifest = folder.path / CORPUS_FILE
    write_manifest(manifest, corpus.manifest)
    return RunContext(
        config=replace(config, corpus=replace(config.corpus, manifest=manifest)),
        folder=folder,
        corpus=corpus,
        probe_clips=probe_clips,
        device=device,
        budget=budget,
        say=say,
        loader_workers=loader_workers,
    )


def _readable_corpus(config: IterateConfig, say: Callable[[str], None]) -> UnlabelledClips:
    """Divide the clips that can be opened, in the manifest's order."""
    listed = read_unlabelled_clips(pretrain_config(config, 1).data)
    say_faults(listed.faults, say)
    if not listed.train or not listed.held_out:
        raise UserError(
            f"{config.corpus.manifest}: expected clips within and outside the held-out folds, got "
            f"{len(listed.held_out)} and {len(listed.train)} that can be opened"
        )
    opened = sorted((*listed.train, *listed.held_out))
    place = {index: number for number, index in enumerate(opened)}
    return UnlabelledClips(
        manifest=listed.of(opened),
        train=tuple(place[index] for index in listed.train),
        held_out=tuple(place[index] for index in listed.held_out),
        faults=listed.faults,
    )


def _readable_probe_clips(config: IterateConfig, say: Callable[[str], None]) -> ProbeClips:
    clips, faults = leave_out_unreadable(read_manifest(config.probe_manifest))
    say_faults(faults, say)
    probe_clips = usable_clips(clips)
    choose_score_folds(probe_clips.folds, config.probe.score_folds)
    return probe_clips


def _describe_run(
    config: IterateConfig, corpus: UnlabelledClips, probe_clips: ProbeClips
) -> dict[str, Any]:
    """Make the table by which a resumed run is recognised: config and clip lists, no paths."""
    return {
        "config": to_dict(with_manifests(config, lambda _: Path())),
        "corpus_sha256": clip_order_sha256(corpus.manifest),
        "left_out": len(corpus.faults),
        "learnt_from": clips_record(corpus.of(corpus.train)),
        "held_out": clips_record(corpus.of(corpus.held_out)),
        "probe": {
            **clips_record(probe_clips.clips),
            "clips_in_order_sha256": clip_order_sha256(probe_clips.clips),
            "classes": len(probe_clips.class_names),
            **_overlap(config, corpus, probe_clips),
        },
    }


def _overlap(
    config: IterateConfig, corpus: UnlabelledClips, probe_clips: ProbeClips
) -> dict[str, Any]:
    """Count the scored clips, and those of them whose recordings are learnt from otherwise."""
    learnt = {clip.recording for clip in corpus.of(corpus.train)}
    taught = {clip.recording for clip in _teacher_clips(config)}
    score_folds = choose_score_folds(probe_clips.folds, config.probe.score_folds)
    scored = [probe_clips.clips[index] for index in scored_clips(probe_clips.folds, score_folds)]
    return {
        "score_folds": list(score_folds),
        "scored_clips": len(scored),
        "scored_clips_learnt_from": sum(clip.recording in learnt for clip in scored),
        "scored_clips_in_teacher": sum(clip.recording in taught for clip in scored),
        "probe_clips_learnt_from": sum(clip.recording in learnt for clip in probe_clips.clips),
    }


def _teacher_clips(config: IterateConfig) -> tuple[Clip, ...]:
    """Clips whose labels a supervised teacher sees."""
    if config.supervised_teacher is None:
        return ()
    return read_training_clips(config.supervised_teacher.data)
