"""Make the tiny model of the service's tests: `python -m tests.make_tiny_model [FOLDER]`.

Random weights from a seed; two layers of 32 dimensions, all 527 labels. The predictor is drawn
wide, so that scores spread. Every third label counts as trained.
"""

import sys
from pathlib import Path

import torch

from earshot_training.config import EncoderConfig
from earshot_training.export.model_folder import write_model_folder
from earshot_training.labels.audioset import Label, audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.beats import Beats

TINY_MODEL = Path(__file__).resolve().parents[2] / "test/fixtures/models/tiny"
TINY_CONFIG = EncoderConfig(
    patch_dim=32, dim=32, ffn_dim=64, layers=2, heads=4, conv_pos_kernel=16, conv_pos_groups=4
)


def tiny_artefact(seed: int = 0) -> Artefact:
    """Draw the model."""
    torch.manual_seed(seed)
    labels = audioset_labels()
    model = Beats(TINY_CONFIG, num_labels=len(labels)).eval()
    assert model.predictor is not None
    torch.nn.init.normal_(model.predictor.weight, std=0.5)
    torch.nn.init.normal_(model.predictor.bias, mean=-1.0, std=0.5)
    return Artefact(
        model=model,
        kind="finetuned",
        activation="sigmoid",
        labels=tuple(trained_label(label) for label in labels),
        training={"seed": seed, "data": []},
        evaluation={"note": "random weights, never trained"},
    )


def trained_label(label: Label) -> TrainedLabel:
    """Mark every third label as trained, with a threshold from 0.2 to 0.8."""
    if label.index % 3:
        return TrainedLabel(mid=label.mid, name=label.name)
    return TrainedLabel(
        mid=label.mid,
        name=label.name,
        trained=True,
        positives=8 + label.index % 5,
        average_precision=0.5,
        threshold=round(0.2 + label.index % 7 / 10, 1),
    )


def make_tiny_model(folder: Path = TINY_MODEL) -> None:
    """Export it."""
    write_model_folder(
        folder,
        tiny_artefact(),
        name="tiny",
        revision="1",
        license="MIT",
        description="Random weights for tests of the service: real shapes, meaningless answers.",
        overwrite=True,
    )


if __name__ == "__main__":
    make_tiny_model(*map(Path, sys.argv[1:2]))
