"""Encoders of the released BEATs code: their configuration, weights and labels in our form.

Source: microsoft/unilm, `beats/BEATs.py` and `beats/backbone.py`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earshot_training.config import ConfigError, EncoderConfig, parse_section
from earshot_training.errors import UserError
from earshot_training.labels.released import released_labels
from earshot_training.model.artefact import Artefact, TrainedLabel, load_weights
from earshot_training.model.attention import GATE_OUTPUTS
from earshot_training.model.beats import Beats
from earshot_training.model.released_file import errors_name, read_released_checkpoint

Shapes = dict[str, tuple[int, ...]]

CONFIG_KEYS = {
    "patch_size": "input_patch_size",
    "patch_dim": "embed_dim",
    "dim": "encoder_embed_dim",
    "ffn_dim": "encoder_ffn_embed_dim",
    "layers": "encoder_layers",
    "heads": "encoder_attention_heads",
    "conv_pos_kernel": "conv_pos",
    "conv_pos_groups": "conv_pos_groups",
    "num_buckets": "num_buckets",
    "max_distance": "max_distance",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "layer_drop": "encoder_layerdrop",
}

# What every released checkpoint has and this encoder is built for.
REQUIRED_CONFIG = {
    "deep_norm": True,
    "layer_norm_first": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "conv_bias": False,
    "activation_fn": "gelu",
}

# Weights that change on the way, not only their names.
BUCKET_TABLE = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
GATE_SCALE = "grep_a"
WEIGHT_NORM = ("encoder.pos_conv.0.weight_g", "encoder.pos_conv.0.weight_v")

OUTER_MODULES = {
    "patch_embedding": "patch_embed.tile",
    "layer_norm": "patch_embed.norm",
    "post_extract_proj": "patch_embed.project",
    "encoder.pos_conv.0": "encoder.position_conv.conv",
    "encoder.layer_norm": "encoder.norm",
    "predictor": "predictor",
}
LAYER_MODULES = {
    "self_attn": "attention",
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.out_proj": "attention.out",
    "self_attn.grep_linear": "attention.gate",
    "self_attn_layer_norm": "attention_norm",
    "final_layer_norm": "final_norm",
    "fc1": "expand",
    "fc2": "contract",
}


def load_released_encoder(path: Path) -> Artefact:
    """Read a pre-trained or fine-tuned encoder; its model is on the CPU, in evaluation mode.

    Every label of a fine-tuned one counts as trained, with a count of positives of 0: the file
    does not tell it. A UserError names the file, what was expected and what came.
    """
    checkpoint = read_released_checkpoint(path)
    with errors_name(path):
        config, weights = map_released_state(checkpoint.cfg, checkpoint.state)
        num_labels = num_released_labels(checkpoint.cfg, checkpoint.state)
        labels = _trained_labels(checkpoint.label_dict, num_labels) if num_labels else None
        model = Beats(config, num_labels=num_labels)
        load_weights(model, weights, source="weights")
    return Artefact(
        model=model.eval(),
        kind="pretrained" if labels is None else "finetuned",
        activation=None if labels is None else "sigmoid",
        labels=labels,
        training={"imported_from": checkpoint.provenance},
    )


def map_released_state(
    cfg: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[EncoderConfig, dict[str, Tensor]]:
    """Turn the configuration and state dict of a released encoder into ours.

    Weight normalisation is multiplied out, and the layers' equal copies of the bucket table become
    one. A missing or unexpected key, a shape that `cfg` does not give and tables that differ are
    each a UserError.
    """
    if any(key.startswith("quantize") for key in state):
        raise UserError("expected the checkpoint of an encoder, got that of a tokenizer")
    config = map_released_config(cfg)
    shapes = released_shapes(config, num_released_labels(cfg, state))
    assert_released_state(state, shapes, kind="an encoder")
    return config, map_released_weights(config, state)


def map_released_config(cfg: Mapping[str, Any]) -> EncoderConfig:
    """Read the sizes from a checkpoint's own `cfg`: the code's defaults are another model's."""
    for key, expected in REQUIRED_CONFIG.items():
        if key not in cfg:
            raise UserError(f"cfg.{key}: missing; expected {expected!r}")
        if cfg[key] != expected:
            raise UserError(f"cfg.{key}: expected {expected!r}, got {cfg[key]!r}")
    table = {ours: cfg[theirs] for ours, theirs in CONFIG_KEYS.items() if theirs in cfg}
    try:
        return parse_section(EncoderConfig, table, complete=True)
    except ConfigError as error:
        ours, _, said = str(error).partition(":")
        raise UserError(f"cfg.{CONFIG_KEYS[ours]}:{said}") from error


def num_released_labels(cfg: Mapping[str, Any], state: Mapping[str, Tensor]) -> int:
    """Count the classes of the predictor, 0 in a checkpoint that was not fine-tuned."""
    has_predictor = any(key.startswith("predictor.") for key in state)
    if cfg.get("finetuned_model", has_predictor) != has_predictor:
        came = "one" if has_predictor else "none"
        raise UserError(
            f"cfg.finetuned_model: {cfg['finetuned_model']!r} tells of a predictor or of none, "
            f"but the state dict has {came}"
        )
    return released_count(cfg, "predictor_class") if has_predictor else 0


def released_count(cfg: Mapping[str, Any], key: str) -> int:
    """Read a number of at least 1."""
    count = cfg.get(key)
    if type(count) is not int or count < 1:
        raise UserError(f"cfg.{key}: expected a whole number of at least 1, got {count!r}")
    return count


def released_shapes(config: EncoderConfig, num_labels: int = 0) -> Shapes:
    """Keys and shapes that the state dict of a released encoder has."""
    dim, patch_dim, heads = config.dim, config.patch_dim, config.heads
    conv = (dim, dim // config.conv_pos_groups, config.conv_pos_kernel)
    shapes: Shapes = {
        "patch_embedding.weight": (patch_dim, 1, config.patch_size, config.patch_size),
        **_norm("layer_norm", patch_dim),
        "encoder.pos_conv.0.weight_g": (1, 1, config.conv_pos_kernel),
        "encoder.pos_conv.0.weight_v": conv,
        "encoder.pos_conv.0.bias": (dim,),
        **_norm("encoder.layer_norm", dim),
    }
    if patch_dim != dim:
        shapes |= _linear("post_extract_proj", patch_dim, dim)
    for layer in range(config.layers):
        name = f"encoder.layers.{layer}"
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{name}.self_attn.{projection}", dim, dim)
        shapes |= _linear(f"{name}.self_attn.grep_linear", config.head_dim, GATE_OUTPUTS)
        shapes[f"{name}.self_attn.grep_a"] = (1, heads, 1, 1)
        shapes[BUCKET_TABLE.format(layer)] = (config.num_buckets, heads)
        shapes |= _norm(f"{name}.self_attn_layer_norm", dim)
        shapes |= _norm(f"{name}.final_layer_norm", dim)
        shapes |= _linear(f"{name}.fc1", dim, config.ffn_dim)
        shapes |= _linear(f"{name}.fc2", config.ffn_dim, dim)
    if num_labels:
        shapes |= _linear("predictor", dim, num_labels)
    return shapes


def assert_released_state(state: Mapping[str, Tensor], shapes: Shapes, *, kind: str) -> None:
    """Refuse missing and unexpected keys, other shapes and what is no floating-point tensor."""
    missing, unexpected = sorted(shapes.keys() - state.keys()), sorted(state.keys() - shapes.keys())
    if missing or unexpected:
        raise UserError(
            f"expected the checkpoint of {kind} with the layers that cfg gives: "
            f"missing {_first(missing)}, unexpected {_first(unexpected)}"
        )
    for key, shape in shapes.items():
        if tuple(state[key].shape) != shape or not state[key].is_floating_point():
            raise UserError(
                f"{key}: expected floating-point weights of shape {list(shape)} by cfg, "
                f"got {state[key].dtype} of {list(state[key].shape)}"
            )


def map_released_weights(config: EncoderConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a checked state dict; all become float32."""
    rest = {key: weight.float() for key, weight in state.items()}
    mapped = {"encoder.relative_bias.table.weight": _take_bucket_table(rest, config.layers)}
    norm, direction = (rest.pop(key).double() for key in WEIGHT_NORM)
    length = torch.linalg.vector_norm(direction, dim=(0, 1), keepdim=True)
    mapped["encoder.position_conv.conv.weight"] = (norm * direction / length).float()
    for key, weight in rest.items():
        mapped[_our_key(key)] = weight.flatten() if key.endswith(GATE_SCALE) else weight
    # A convolution whose stride is its kernel is a product with the tile's values in a row.
    mapped["patch_embed.tile.weight"] = mapped["patch_embed.tile.weight"].flatten(1)
    return mapped


def _trained_labels(label_dict: object, num_labels: int) -> tuple[TrainedLabel, ...]:
    return tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=True)
        for label in released_labels(label_dict, num_labels)
    )


def _take_bucket_table(state: dict[str, Tensor], layers: int) -> Tensor:
    tables = [state.pop(BUCKET_TABLE.format(layer)) for layer in range(layers)]
    for layer, table in enumerate(tables):
        if not torch.equal(table, tables[0]):
            raise UserError(
                f"expected one bucket table for all layers, but layer {layer}'s differs"
            )
    return tables[0]


def _our_key(key: str) -> str:
    module, _, parameter = key.rpartition(".")
    in_layer = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", module)
    if in_layer is None:
        return f"{OUTER_MODULES[module]}.{parameter}"
    layer, module = in_layer.groups()
    parameter = "gate_scale" if parameter == GATE_SCALE else parameter
    return f"encoder.layers.{layer}.{LAYER_MODULES[module]}.{parameter}"


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _first(keys: list[str], most: int = 3) -> str:
    if not keys:
        return "none"
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{', '.join(keys[:most])}{rest}"
