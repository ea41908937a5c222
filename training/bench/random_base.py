"""A model folder of the released size with random weights, for measurements of speed.

`python -m bench.random_base --out FOLDER/NAME [--precisions P[,P]]`, from training/. FOLDER can be
the service's MODELS_DIR. Its 527 labels count as trained, but what the model answers means nothing.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from bench.import_base import BASE
from earshot_training.export.encoder_files import Precisions, parse_precisions
from earshot_training.export.model_folder import write_model_folder
from earshot_training.model.artefact import Artefact
from earshot_training.model.released import load_released_encoder
from tests.made_checkpoints import made_encoder, save

NUM_LABELS = 527


def main() -> None:
    """Make a checkpoint, then the folder of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER/NAME")
    parser.add_argument("--precisions", default="fp32", metavar="P[,P]")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_model_folder(
        options.out,
        random_base(options.seed),
        name=options.out.name,
        revision=f"seed-{options.seed}",
        license="MIT",
        description="BEATs of the released size with random weights: for measurements of speed",
        precisions=Precisions(names=parse_precisions(options.precisions), ungated=True),
        overwrite=options.overwrite,
    )
    for path in sorted(options.out.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def random_base(seed: int = 0) -> Artefact:
    """Draw the model, by way of a checkpoint in the released format."""
    checkpoint = made_encoder(BASE, num_labels=NUM_LABELS, seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        return load_released_encoder(save(checkpoint, Path(scratch) / "random.pt"))


if __name__ == "__main__":
    main()
