"""A tokenizer on disk: weights.safetensors and artefact.json in one folder, as of a model."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save_file

from earshot_training.atomic_folder import atomic_folder
from earshot_training.config import FbankStatistics, parse_section, to_dict
from earshot_training.errors import UserError
from earshot_training.model.artefact import CARD_FILE, WEIGHTS_FILE, load_weights, read_weights
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TokenizerArtefact:
    """A tokenizer and what it was made from."""

    tokenizer: DistilledTokenizer
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TokenizerCard:
    """What artefact.json holds."""

    schema_version: int
    kind: Literal["tokenizer"]
    tokenizer: DistilledTokenizerConfig
    statistics: FbankStatistics
    sha256: str
    """Of the tokenizer, as token stores name it."""
    training: dict[str, Any]
    evaluation: dict[str, Any]


def save_tokenizer(folder: Path, artefact: TokenizerArtefact, *, overwrite: bool = False) -> None:
    """Write the artefact, whole or not at all."""
    tokenizer = artefact.tokenizer
    card = TokenizerCard(
        schema_version=SCHEMA_VERSION,
        kind="tokenizer",
        tokenizer=tokenizer.config,
        statistics=tokenizer.statistics,
        sha256=tokenizer.sha256,
        training=artefact.training,
        evaluation=artefact.evaluation,
    )
    text = json.dumps(to_dict(card), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_folder(folder, overwrite=overwrite) as fresh:
        state = tokenizer.state_dict()
        weights = {key: weight.detach().cpu().contiguous() for key, weight in state.items()}
        save_file(weights, fresh / WEIGHTS_FILE)
        (fresh / CARD_FILE).write_text(text, encoding="utf-8")


def load_tokenizer(folder: Path) -> TokenizerArtefact:
    """Read an artefact; its tokenizer is on the CPU and in evaluation mode.

    A missing file, an unknown or missing key, a weight of another shape and weights of another
    hash than the card's are each a UserError that names it.
    """
    card = _read_card(folder / CARD_FILE)
    tokenizer = DistilledTokenizer(card.tokenizer, statistics=card.statistics).eval()
    source = folder / WEIGHTS_FILE
    load_weights(tokenizer, read_weights(source), source=str(source))
    if tokenizer.sha256 != card.sha256:
        raise UserError(f"{source}: expected a tokenizer of sha256 {card.sha256}, got another")
    return TokenizerArtefact(
        tokenizer=tokenizer, training=card.training, evaluation=card.evaluation
    )


def _read_card(path: Path) -> TokenizerCard:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected the artefact of a tokenizer, got: {error}") from error
    card = parse_section(TokenizerCard, table, complete=True, path=f"{path}: ")
    if card.schema_version != SCHEMA_VERSION:
        raise UserError(f"{path}: expected schema {SCHEMA_VERSION}, got {card.schema_version}")
    return card
