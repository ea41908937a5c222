"""A trained model on disk: weights.safetensors and artefact.json in one folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from earshot_training.atomic_folder import atomic_folder
from earshot_training.config import EncoderConfig, FbankStatistics, parse_section, to_dict
from earshot_training.errors import UserError
from earshot_training.model.beats import Beats

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "artefact.json"
SCHEMA_VERSION = 1

Kind = Literal["pretrained", "finetuned"]
Activation = Literal["sigmoid", "softmax"]


@dataclass(frozen=True, kw_only=True)
class TrainedLabel:
    """A label of the predictor and what is known of it; the order is that of the classes."""

    mid: str
    name: str
    trained: bool = False
    positives: int = 0
    average_precision: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A model with all that export needs to know about it."""

    model: Beats
    kind: Kind
    activation: Activation | None = None
    labels: tuple[TrainedLabel, ...] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse labels that do not fit the predictor."""
        num_labels = 0 if self.labels is None else len(self.labels)
        if num_labels != self.model.num_labels:
            raise ValueError(f"Expected {self.model.num_labels} labels, got {num_labels}")
        if (self.activation is None) != (self.labels is None):
            raise ValueError(
                f"Expected an activation exactly where there are labels, got {self.activation!r}"
            )


@dataclass(frozen=True, kw_only=True)
class ArtefactCard:
    """What artefact.json holds."""

    schema_version: int
    kind: Kind
    encoder: EncoderConfig
    statistics: FbankStatistics
    activation: Activation | None
    labels: tuple[TrainedLabel, ...] | None
    training: dict[str, Any]
    evaluation: dict[str, Any]


def save_artefact(folder: Path, artefact: Artefact, *, overwrite: bool = False) -> None:
    """Write the artefact, whole or not at all."""
    card = ArtefactCard(
        schema_version=SCHEMA_VERSION,
        kind=artefact.kind,
        encoder=artefact.model.config,
        statistics=artefact.model.statistics,
        activation=artefact.activation,
        labels=artefact.labels,
        training=artefact.training,
        evaluation=artefact.evaluation,
    )
    text = json.dumps(to_dict(card), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_folder(folder, overwrite=overwrite) as fresh:
        state = artefact.model.state_dict()
        weights = {key: weight.detach().cpu().contiguous() for key, weight in state.items()}
        save_file(weights, fresh / WEIGHTS_FILE)
        (fresh / CARD_FILE).write_text(text, encoding="utf-8")


def load_artefact(folder: Path) -> Artefact:
    """Read an artefact; its model is on the CPU and in evaluation mode.

    A missing file, an unknown or missing key and a weight of another shape or type are each a
    UserError that names it.
    """
    card = _read_card(folder / CARD_FILE)
    model = Beats(card.encoder, num_labels=len(card.labels or ()), statistics=card.statistics)
    source = folder / WEIGHTS_FILE
    load_weights(model, read_weights(source), source=str(source))
    return Artefact(
        model=model.eval(),
        kind=card.kind,
        activation=card.activation,
        labels=card.labels,
        training=card.training,
        evaluation=card.evaluation,
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; a missing or broken one is a UserError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"Expected weights in {path}: {error}") from error


def load_weights(model: nn.Module, weights: dict[str, Tensor], *, source: str) -> None:
    """Load a state dict whose keys, shapes and types are exactly the model's."""
    expected = model.state_dict()
    missing, unexpected = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    if missing or unexpected:
        raise UserError(
            f"{source}: expected the model's own keys, "
            f"missing {sorted(missing)}, unexpected {sorted(unexpected)}"
        )
    for key, weight in weights.items():
        wanted, came = (
            f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in (expected[key], weight)
        )
        if wanted != came:
            raise UserError(f"{source}: expected {key} as {wanted}, got {came}")
    model.load_state_dict(weights)


def _read_card(path: Path) -> ArtefactCard:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Expected JSON in {path}: {error}") from error
    card = parse_section(ArtefactCard, table, complete=True, path=f"{path}: ")
    if card.schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, got {card.schema_version}"
        )
    return card
