"""Import a checkpoint of the released size with random weights, and measure it.

`python -m bench.import_base [--folder FOLDER]`, from training/. Prints how long the command took
and its largest memory, what it wrote, how far the graphs are from the model written out in
float64, and what a 10 s clip costs on one thread. Takes some minutes, 4 GB of memory and 2 GB of
disk; FOLDER keeps the model folder, to start the service on it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earshot_training.audio.fbank import Fbank
from earshot_training.export.parity import create_session, noise_waveforms
from tests import released_reference
from tests.made_checkpoints import made_cfg, made_encoder, made_tokenizer, save

BASE = made_cfg(
    embed_dim=512,
    encoder_layers=12,
    encoder_embed_dim=768,
    encoder_ffn_embed_dim=3072,
    encoder_attention_heads=12,
    conv_pos=128,
    conv_pos_groups=16,
)
RUNS = 5


def main() -> None:
    """Run everything in a folder that is removed afterwards, or in the one given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the model folder as FOLDER/base")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), (folder or Path(scratch)) / "base")


def measure(scratch: Path, out: Path) -> None:
    """Write checkpoints, import them, compare and time."""
    encoder = made_encoder(BASE, num_labels=527)
    tokenizer = made_tokenizer(BASE, size=1024, dim=256)
    for name, checkpoint in (("encoder", encoder), ("tokenizer", tokenizer)):
        path = save(checkpoint, scratch / f"{name}.pt")
        parameters = sum(weight.numel() for weight in checkpoint["model"].values())
        print(f"{name}.pt: {path.stat().st_size / 1e6:.0f} MB, {parameters:,} values saved")
    import_checkpoints(scratch, out)
    for path in sorted(out.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    waveform = noise_waveforms()[-1]
    compare(out, waveform, encoder, tokenizer)
    for graph, outputs in (("encoder", ["clip_logits"]), ("tokenizer", ["tokens"])):
        seconds = seconds_per_clip(out, graph, outputs, waveform)
        print(f"{graph}: {seconds:.2f} s of processor time per 10 s clip")


def import_checkpoints(scratch: Path, out: Path) -> None:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "earshot_training", "import-beats"]
    given = [str(scratch / "encoder.pt"), "--tokenizer", str(scratch / "tokenizer.pt")]
    started = time.perf_counter()
    subprocess.run([*command, *given, "--out", str(out), "--overwrite"], check=True)
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"import-beats: {seconds:.0f} s ({usage.ru_utime + usage.ru_stime:.0f} s of processor "
        f"time), at most {usage.ru_maxrss / 1e6:.2f} GB"
    )


def compare(
    out: Path,
    waveform: NDArray[np.float32],
    encoder: dict[str, Any],
    tokenizer: dict[str, Any],
) -> None:
    """Hold the graphs to the model written out in float64, on a clip of 10 s."""
    fbank = Fbank()(torch.from_numpy(waveform).unsqueeze(0))[0]
    vectors = released_reference.patch_vectors(encoder, fbank)
    rows, logits = run(out, "encoder", ["row_embeddings", "clip_logits"], waveform)
    features = vectors.view(len(rows), 8, -1).mean(dim=1).numpy()
    scores = released_reference.scores(encoder, vectors).numpy()
    print(f"encoder: features within {np.abs(rows - features).max():.1e} of float64,")
    print(f"         scores within {np.abs(1 / (1 + np.exp(-logits)) - scores).max():.1e}")
    tokenizer_vectors = released_reference.patch_vectors(tokenizer, fbank)
    expected = released_reference.token_ids(tokenizer, tokenizer_vectors).numpy()
    tokens = run(out, "tokenizer", ["tokens"], waveform)[0].reshape(-1)
    print(
        f"tokenizer: {(tokens == expected).sum()} of {len(expected)} tokens as in float64, "
        f"{len(np.unique(tokens))} codes in use"
    )


def run(
    out: Path, graph: str, outputs: list[str], waveform: NDArray[np.float32]
) -> list[NDArray[Any]]:
    """Run one clip alone; the outputs without their batch dimension."""
    inputs = {"waveform": waveform[None], "num_samples": np.asarray([len(waveform)])}
    session = create_session(out / f"{graph}.fp32.onnx")
    return [output[0] for output in session.run(outputs, inputs)]


def seconds_per_clip(
    out: Path, graph: str, outputs: list[str], waveform: NDArray[np.float32]
) -> float:
    """Take the median of some runs on one thread; processor time, which a busy machine spares."""
    inputs = {"waveform": waveform[None], "num_samples": np.asarray([len(waveform)])}
    session = create_session(out / f"{graph}.fp32.onnx")
    session.run(outputs, inputs)
    seconds = []
    for _ in range(RUNS):
        started = time.process_time()
        session.run(outputs, inputs)
        seconds.append(time.process_time() - started)
    return median(seconds)


if __name__ == "__main__":
    main()
