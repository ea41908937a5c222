"""The gate of the smaller precisions: on labelled clips they must answer as float32 does.

Each clip is run alone and whole, as the service's CPU engines run windows. Scores are compared
over trained labels only: the others mean nothing in any precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earshot_training.audio.fbank import PATCH_FRAMES, num_rows
from earshot_training.audio.waveform import read_waveform
from earshot_training.config import MEL_BINS
from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.data.targets import to_multi_hot
from earshot_training.errors import UserError
from earshot_training.export.parity import create_session
from earshot_training.model.artefact import Activation, TrainedLabel
from earshot_training.model.attention import MAX_PATCHES
from earshot_training.train.evaluation import clip_accuracy
from earshot_training.train.metrics import tagging_metrics
from earshot_training.train.scored_clips import ScoredClips

BANDS = MEL_BINS // PATCH_FRAMES

MIN_TOP1_AGREEMENT = 0.99
MAX_MEAN_ABSOLUTE_SCORE_DIFFERENCE = 0.005
MAX_MAP_CHANGE = 0.003
MAX_ACCURACY_CHANGE = 0.003


class GateError(UserError):
    """A precision that answers otherwise than float32 by more than the gate allows."""


@dataclass(frozen=True, kw_only=True)
class GateFigures:
    """A graph against the float32 graph of the same model; changes are its figure less float32's.

    Shares and scores from 0 to 1: a change of 0.003 is 0.3 points.
    """

    clips: int
    clips_sha256: str
    folds: tuple[int, ...]
    top1_agreement: float
    """Share of the clips whose highest trained label is the same."""
    mean_absolute_score_difference: float
    """Over all pairs of a clip and a trained label."""
    map_change: float
    """Mean average precision over the trained labels that have positives."""
    accuracy_change: float | None
    """None where clips have no class."""

    def misses(self) -> list[str]:
        """Say each figure that is beyond its limit; a figure that is no number is."""
        limits = (
            ("mean_absolute_score_difference", MAX_MEAN_ABSOLUTE_SCORE_DIFFERENCE),
            ("map_change", MAX_MAP_CHANGE),
            ("accuracy_change", MAX_ACCURACY_CHANGE),
        )
        came = []
        if not self.top1_agreement >= MIN_TOP1_AGREEMENT:
            came.append(f"top1_agreement {self.top1_agreement:.4f}, at least {MIN_TOP1_AGREEMENT}")
        for name, limit in limits:
            figure = getattr(self, name)
            if figure is not None and not abs(figure) <= limit:
                came.append(f"{name} {figure:+.4f}, at most {limit}")
        return came

    def to_record(self) -> dict[str, Any]:
        """Give what model.json says of the graph."""
        return {
            "passed": not self.misses(),
            "clips": self.clips,
            "clips_sha256": self.clips_sha256,
            "folds": list(self.folds),
            "top1_agreement": self.top1_agreement,
            "mean_absolute_score_difference": self.mean_absolute_score_difference,
            "map_change": self.map_change,
            "accuracy_change": self.accuracy_change,
        }


def assert_passed(precision: str, figures: GateFigures) -> None:
    """Refuse a precision that misses the gate, naming every figure and its limit."""
    misses = figures.misses()
    if misses:
        raise GateError(
            f"Expected {precision} to answer as fp32 on {figures.clips} clips, "
            f"got {'; '.join(misses)}"
        )


def score_graph(graph: Path, clips: Sequence[Clip]) -> ScoredClips:
    """Run each clip alone through an encoder graph, on the CPU with one thread.

    Raises:
        UserError: a clip shorter than a row or longer than the graph's longest input.

    """
    session = create_session(graph)
    logits = np.concatenate(
        [
            session.run(
                ["clip_logits"],
                {"waveform": waveform[None], "num_samples": np.asarray([len(waveform)])},
            )[0]
            for waveform in map(_read, clips)
        ]
    )
    return ScoredClips(tuple(clips), torch.from_numpy(logits))


def compare(
    float32: ScoredClips,
    other: ScoredClips,
    labels: Sequence[TrainedLabel],
    activation: Activation,
) -> GateFigures:
    """Compare what two graphs of one model made of the same clips.

    Raises:
        UserError: no trained label has positives among the clips.

    """
    clips = float32.clips
    trained = np.array([label.trained for label in labels], dtype=bool)
    truth = to_multi_hot(clips, [label.mid for label in labels]).numpy().astype(bool)
    if not (truth & trained).any():
        raise UserError("expected clips of labels that the model was trained on, got none")
    before, after = (_scores(scored, activation)[:, trained] for scored in (float32, other))
    return GateFigures(
        clips=len(clips),
        clips_sha256=clip_list_sha256(clips),
        folds=tuple(sorted({clip.fold for clip in clips if clip.fold is not None})),
        top1_agreement=float(np.mean(before.argmax(axis=1) == after.argmax(axis=1))),
        mean_absolute_score_difference=float(np.abs(before - after).mean()),
        map_change=_map(after, truth[:, trained]) - _map(before, truth[:, trained]),
        accuracy_change=_accuracy_change(float32, other, labels),
    )


def _scores(scored: ScoredClips, activation: Activation) -> NDArray[np.float64]:
    logits = scored.logits.double()
    if not bool(torch.isfinite(logits).all()):
        raise GateError("Expected finite logits, got some that are not")
    scores = torch.sigmoid(logits) if activation == "sigmoid" else torch.softmax(logits, dim=-1)
    values: NDArray[np.float64] = scores.numpy()
    return values


def _map(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    value = tagging_metrics(scores, truth).mean_average_precision
    assert value is not None
    return value


def _accuracy_change(
    float32: ScoredClips, other: ScoredClips, labels: Sequence[TrainedLabel]
) -> float | None:
    before, after = (clip_accuracy(scored, labels) for scored in (float32, other))
    return None if before is None or after is None else after.accuracy - before.accuracy


def _read(clip: Clip) -> NDArray[np.float32]:
    waveform = read_waveform(clip.path)
    patches = num_rows(len(waveform)) * BANDS
    if not 1 <= patches <= MAX_PATCHES:
        raise UserError(
            f"{clip.path}: expected a clip of 1 to {MAX_PATCHES} patches (0.2 to 81.9 s), "
            f"got {patches}"
        )
    return waveform
