"""The golden values in fixtures/: cases, checkpoints, and the tolerance of each case."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from earshot_training.model.artefact import load_weights
from earshot_training.model.beats import Beats
from earshot_training.model.released import map_released_state

FIXTURES = Path(__file__).parent / "fixtures"
NUM_LABELS = 527


class Case(NamedTuple):
    name: str
    waveform: Tensor  # (1, samples)
    num_samples: Tensor  # (1,)
    fbank: Tensor  # (frames, 128)
    features: Tensor  # (patches, 64)
    scores: Tensor  # (527,)


class Tolerance(NamedTuple):
    fbank: float
    features: float
    scores: float


def tolerance(name: str) -> Tolerance:
    # In a pure tone's near-silent bands float32 itself is at its limit.
    if name == "tone_dc_2s":
        return Tolerance(fbank=0.1, features=2e-2, scores=1e-3)
    return Tolerance(fbank=1e-3, features=3e-4, scores=1e-5)


@cache
def cases() -> dict[str, Case]:
    with np.load(FIXTURES / "cases.npz") as arrays:
        names = sorted({key.split("/")[0] for key in arrays})
        return {name: _case(name, arrays) for name in names}


def checkpoint(name: str) -> dict:
    return torch.load(FIXTURES / name, weights_only=True)


@cache
def released_model(name: str, num_labels: int = 0) -> Beats:
    released = checkpoint(name)
    config, weights = map_released_state(released["cfg"], released["model"])
    model = Beats(config, num_labels=num_labels)
    load_weights(model, weights, source=name)
    return model.eval()


def pretrained_model() -> Beats:
    return released_model("pretrained.pt")


def finetuned_model() -> Beats:
    return released_model("finetuned.pt", NUM_LABELS)


def _case(name: str, arrays) -> Case:
    waveform, fbank, features, scores = (
        torch.from_numpy(arrays[f"{name}/{key}"])
        for key in ("waveform", "fbank", "features", "probs")
    )
    return Case(name, waveform.unsqueeze(0), torch.tensor([len(waveform)]), fbank, features, scores)
