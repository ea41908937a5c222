"""Make the tiny model with a tokenizer: `python -m tests.make_tiny_token_model [FOLDER]`.

Random weights from a seed; twelve labels, one at a time; 64 codes laid where the vectors of a real
clip and of noise lie. Beside the model stands what its tokenizer says of that clip in ONNX Runtime:
of the clip itself, and of five copies in a row, heard in windows as the service hears them. No
patch lies so near to two codes that another processor could choose the other.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earshot_training.audio.waveform import Waveform, read_waveform
from earshot_training.config import EncoderConfig
from earshot_training.export.model_folder import write_model_folder
from earshot_training.export.parity import create_session, noise_waveforms
from earshot_training.export.token_parity import _distances
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.beats import Beats
from earshot_training.tokenizer.artefact import TokenizerArtefact
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig

FIXTURES = Path(__file__).resolve().parents[2] / "test/fixtures"
TINY_TOKEN_MODEL = FIXTURES / "token-models/tiny-tokens"
CLIP = "dog_16k_s16.wav"
COPIES = 5
WINDOW_SAMPLES = 160_000
HOP_SAMPLES = 62 * 16 * 160
LEAST_GAP = 2e-5
NUM_LABELS = 12
CONFIG = EncoderConfig(
    patch_dim=16, dim=16, ffn_dim=32, layers=2, heads=2, conv_pos_kernel=8, conv_pos_groups=4
)


def token_artefact(seed: int = 0) -> Artefact:
    """Draw the encoder."""
    torch.manual_seed(seed)
    model = Beats(CONFIG, num_labels=NUM_LABELS).eval()
    assert model.predictor is not None
    torch.nn.init.normal_(model.predictor.weight, std=0.5)
    every = len(audioset_labels()) // NUM_LABELS
    labels = tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=True, positives=5)
        for label in audioset_labels()[::every][:NUM_LABELS]
    )
    return Artefact(
        model=model,
        kind="finetuned",
        activation="softmax",
        labels=labels,
        training={"seed": seed, "data": []},
        evaluation={"note": "random weights, never trained"},
    )


def token_tokenizer(clips: list[Waveform], seed: int = 0) -> DistilledTokenizer:
    """Draw the tokenizer, its codes among the vectors of these clips."""
    torch.manual_seed(seed)
    codebook = CodebookConfig(codebook_size=64, codebook_dim=6)
    tokenizer = DistilledTokenizer(DistilledTokenizerConfig(encoder=CONFIG, codebook=codebook))
    tokenizer.codebook.start(
        torch.cat([patch_vectors(tokenizer, clip) for clip in clips]), seed=seed
    )
    return tokenizer.eval()


def patch_vectors(tokenizer: DistilledTokenizer, clip: Waveform) -> torch.Tensor:
    """Vectors to quantise of each patch: (patches, codebook_dim)."""
    with torch.no_grad():
        fbank = tokenizer.fbank(torch.from_numpy(clip).unsqueeze(0))
        rows = torch.tensor([fbank.shape[1] // 16])
        return tokenizer.patch_vectors(fbank, rows)[0][0]


def to_windows(waveform: Waveform) -> list[Waveform]:
    """Cut as the service does: each window starts at the row after the last of the one before."""
    starts = range(0, len(waveform) - 2_800 + 1, HOP_SAMPLES)
    return [waveform[start : start + WINDOW_SAMPLES] for start in starts]


def least_gap(tokenizer: DistilledTokenizer, windows: list[Waveform]) -> float:
    """Squared distance to the second nearest code less that to the nearest, of the closest call."""
    nearest = [_distances(tokenizer, window).sort(dim=-1).values[:, :2] for window in windows]
    return float(min((two[:, 1] - two[:, 0]).min() for two in nearest))


def golden_tokens(folder: Path, windows: list[Waveform]) -> list[list[int]]:
    """Tokens of all windows in a row, by ONNX Runtime: a list of 8 for each row."""
    session = create_session(folder / "tokenizer.fp32.onnx")
    rows: list[list[int]] = []
    for window in windows:
        inputs = {"waveform": window[None], "num_samples": np.asarray([len(window)])}
        rows.extend(session.run(["tokens"], inputs)[0][0].tolist())
    return rows


def make_tiny_token_model(folder: Path = TINY_TOKEN_MODEL) -> dict[str, Any]:
    """Export the model and write its golden tokens beside the folder."""
    clip = read_waveform(FIXTURES / "clips" / CLIP)
    sounds = [clip, *noise_waveforms()]
    whole, repeated = to_windows(clip), to_windows(np.tile(clip, COPIES))
    seed = 0
    while least_gap(token_tokenizer(sounds, seed), whole + repeated) < LEAST_GAP:
        seed += 1
    made = TokenizerArtefact(tokenizer=token_tokenizer(sounds, seed), training={"seed": seed})
    write_model_folder(
        folder,
        token_artefact(),
        tokenizer=made,
        name="tiny-tokens",
        revision="1",
        license="MIT",
        description="Random weights for tests of the service: an encoder and a tokenizer.",
        overwrite=True,
    )
    golden = {
        "clip": CLIP,
        "tokens": golden_tokens(folder, whole),
        "copies": COPIES,
        "tokens_of_copies": golden_tokens(folder, repeated),
    }
    path = folder.parent / "golden-tokens.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    return golden


if __name__ == "__main__":
    make_tiny_token_model(*map(Path, sys.argv[1:2]))
