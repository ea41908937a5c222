"""Checkpoints of the released BEATs code: their configuration and weights in our form.

Source: microsoft/unilm, `beats/`. A checkpoint is a dict of `cfg` and `model` (a state dict).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from earshot_training.config import EncoderConfig
from earshot_training.errors import UserError

BUCKET_TABLE = "relative_attention_bias.weight"
WEIGHT_NORM = ("encoder.pos_conv.0.weight_g", "encoder.pos_conv.0.weight_v")

CONFIG_KEYS = {
    "input_patch_size": "patch_size",
    "embed_dim": "patch_dim",
    "encoder_embed_dim": "dim",
    "encoder_ffn_embed_dim": "ffn_dim",
    "encoder_layers": "layers",
    "encoder_attention_heads": "heads",
    "conv_pos": "conv_pos_kernel",
    "conv_pos_groups": "conv_pos_groups",
    "num_buckets": "num_buckets",
    "max_distance": "max_distance",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "encoder_layerdrop": "layer_drop",
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

KEY_PATTERNS = (
    (r"layer_norm\.", "patch_embed.norm."),
    (r"post_extract_proj\.", "patch_embed.project."),
    (r"encoder\.pos_conv\.0\.", "encoder.position_conv.conv."),
    (r"encoder\.layer_norm\.", "encoder.norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.", r"encoder.layers.\1.attention.\2."),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"encoder.layers.\1.attention.out."),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_linear\.", r"encoder.layers.\1.attention.gate."),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_a$", r"encoder.layers.\1.attention.gate_scale"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.attention_norm."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"encoder.layers.\1.final_norm."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.expand."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.contract."),
    (r"predictor\.", "predictor."),
)
PROJECTIONS = {".attention.q.": ".attention.query.", ".attention.k.": ".attention.key."}
PROJECTIONS[".attention.v."] = ".attention.value."


def map_released_state(
    cfg: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[EncoderConfig, dict[str, Tensor]]:
    """Turn a released configuration and state dict into ours.

    Weight normalisation is multiplied out, and the layers' equal copies of the bucket table become
    one. A key of another model (a tokenizer's quantiser, for example) is a UserError; that no key
    is missing is checked when the weights are loaded.
    """
    config = map_released_config(cfg)
    rest = dict(state)
    mapped = {"encoder.relative_bias.table.weight": _take_bucket_table(rest, config.layers)}
    norm, direction = (_take(rest, key) for key in WEIGHT_NORM)
    length = torch.linalg.vector_norm(direction.double(), dim=(0, 1), keepdim=True)
    mapped["encoder.position_conv.conv.weight"] = (norm * direction / length).float()
    mapped["patch_embed.tile.weight"] = _take(rest, "patch_embedding.weight").flatten(1)
    for key, weight in rest.items():
        mapped[_our_key(key)] = weight.flatten() if key.endswith("grep_a") else weight
    return config, mapped


def map_released_config(cfg: Mapping[str, Any]) -> EncoderConfig:
    """Read the sizes from a checkpoint's own `cfg`: the code's defaults are another model's."""
    for key, expected in REQUIRED_CONFIG.items():
        if cfg.get(key) != expected:
            raise UserError(f"cfg.{key}: expected {expected!r}, got {cfg.get(key)!r}")
    missing = CONFIG_KEYS.keys() - cfg.keys()
    if missing:
        raise UserError(f"cfg: expected {', '.join(CONFIG_KEYS)}, missing {sorted(missing)}")
    return EncoderConfig(**{ours: cfg[theirs] for theirs, ours in CONFIG_KEYS.items()})


def _take(state: dict[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise UserError(f"Expected {key} in the checkpoint")
    return state.pop(key)


def _take_bucket_table(state: dict[str, Tensor], layers: int) -> Tensor:
    tables = [
        _take(state, f"encoder.layers.{layer}.self_attn.{BUCKET_TABLE}") for layer in range(layers)
    ]
    for layer, table in enumerate(tables):
        if not torch.equal(table, tables[0]):
            raise UserError(
                f"Expected one bucket table for all layers, but layer {layer}'s differs"
            )
    return tables[0]


def _our_key(key: str) -> str:
    for pattern, replacement in KEY_PATTERNS:
        if re.match(pattern, key):
            ours = re.sub(f"^{pattern}", replacement, key)
            for short, name in PROJECTIONS.items():
                ours = ours.replace(short, name)
            return ours
    raise UserError(f"Expected no key {key} in the checkpoint of an encoder")
