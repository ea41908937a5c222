"""The base model in PyTorch on one thread, a clip after the other, as a contender of the benchmark.

`python pytorch_contender.py --form released|ours --waveform CLIP.f32`. Reads `{"runs": N}` from
standard input, a line each, and answers `{"cpuSeconds": S}` for so many clips. The released form is
held to this repository's model before anything is timed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from released_eager import ReleasedEager
from torch import Tensor

from bench.import_base import BASE
from bench.random_base import NUM_LABELS
from earshot_training.model.released import load_released_encoder
from tests.made_checkpoints import made_encoder, save

LARGEST_DIFFERENCE = 1e-4

Scores = Callable[[Tensor], Tensor]


def main() -> None:
    """Open a form, then answer until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=("released", "ours"), required=True)
    parser.add_argument("--waveform", type=Path, required=True, help="float32 at 16 kHz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    waveforms = torch.from_numpy(np.fromfile(options.waveform, dtype=np.float32)).unsqueeze(0)
    with torch.inference_mode():
        score = open_form(options.form, waveforms)
        print(json.dumps({"ready": True, "version": torch.__version__}), flush=True)
        for line in sys.stdin:
            started = time.process_time()
            for _ in range(json.loads(line)["runs"]):
                score(waveforms)
            print(json.dumps({"cpuSeconds": time.process_time() - started}), flush=True)


def open_form(form: str, waveforms: Tensor) -> Scores:
    """Make the form that was asked for; the released one only if it scores as ours does."""
    checkpoint = made_encoder(BASE, num_labels=NUM_LABELS)
    ours = open_ours(checkpoint)
    if form == "ours":
        return ours
    released = ReleasedEager(checkpoint)
    difference = (released(waveforms) - ours(waveforms)).abs().max().item()
    if difference > LARGEST_DIFFERENCE:
        raise SystemExit(f"Expected the same scores within {LARGEST_DIFFERENCE}, got {difference}")
    return released


def open_ours(checkpoint: dict[str, Any]) -> Scores:
    """Run the same weights by `earshot_training.model`."""
    with tempfile.TemporaryDirectory() as scratch:
        model = load_released_encoder(save(checkpoint, Path(scratch) / "random.pt")).model.eval()

    def score(waveforms: Tensor) -> Tensor:
        num_samples = torch.tensor([waveforms.shape[1]])
        logits: Tensor = model(waveforms, num_samples).clip_logits
        return logits.sigmoid()

    return score


if __name__ == "__main__":
    main()
