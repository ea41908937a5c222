"""Start an encoder from one that was trained before."""

from dataclasses import replace
from pathlib import Path

from earshot_training.config import EncoderConfig, to_dict
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, load_artefact
from earshot_training.model.beats import Beats


def load_encoder(model: Beats, folder: Path) -> Artefact:
    """Copy the encoder of an artefact, its label predictor left out, into the model.

    Returns the artefact, for those who want more of it.

    Rates of dropout may differ; sizes and fbank statistics may not. Convolutions are copied with
    it; an artefact may have none where the model has some, which then stay as they are.

    Raises:
        UserError: no artefact, or one of another shape or fbank; says what differs.

    """
    artefact = load_artefact(folder)
    found = artefact.model
    expected = _sizes(model.config)
    if not found.config.convolution_width:
        expected = replace(expected, convolution_width=0)
    if _sizes(found.config) != expected:
        raise UserError(
            f"{folder}: expected an encoder of {to_dict(expected)}, "
            f"got {to_dict(_sizes(found.config))}"
        )
    if found.statistics != model.statistics:
        raise UserError(
            f"{folder}: expected fbank statistics {model.statistics}, got {found.statistics}"
        )
    state = found.state_dict()
    encoder = {key: value for key, value in state.items() if not key.startswith("predictor.")}
    model.load_state_dict(model.state_dict() | encoder)
    return artefact


def _sizes(config: EncoderConfig) -> EncoderConfig:
    return replace(
        config, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, layer_drop=0.0
    )
