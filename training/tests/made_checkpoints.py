"""Checkpoints in the released format, of any shape, with random weights."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.released import map_released_config, released_shapes

Cfg = dict[str, Any]
State = dict[str, Tensor]


def made_cfg(**changes: Any) -> Cfg:
    """The keys of a released configuration, with small sizes."""
    cfg: Cfg = {
        "input_patch_size": 16,
        "embed_dim": 24,
        "conv_bias": False,
        "encoder_layers": 1,
        "encoder_embed_dim": 40,
        "encoder_ffn_embed_dim": 56,
        "encoder_attention_heads": 5,
        "activation_fn": "gelu",
        "layer_wise_gradient_decay_ratio": 0.6,
        "layer_norm_first": False,
        "deep_norm": True,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "encoder_layerdrop": 0.05,
        "dropout_input": 0.0,
        "conv_pos": 12,
        "conv_pos_groups": 4,
        "relative_position_embedding": True,
        "num_buckets": 320,
        "max_distance": 800,
        "gru_rel_pos": True,
    }
    return {**cfg, **changes}


def made_encoder(cfg: Cfg, *, num_labels: int = 0, seed: int = 0) -> dict[str, Any]:
    """A checkpoint with the first labels of AudioSet in reverse, or without a predictor."""
    generator = torch.Generator().manual_seed(seed)
    shapes = released_shapes(map_released_config(cfg), num_labels)
    made: dict[str, Any] = {
        "cfg": {**cfg, "finetuned_model": num_labels > 0},
        "model": _with_one_table(
            {key: _draw(key, shape, generator) for key, shape in shapes.items()}
        ),
    }
    if num_labels:
        made["cfg"] |= {"predictor_dropout": 0.0, "predictor_class": num_labels}
        mids = [label.mid for label in audioset_labels()[:num_labels]]
        made["label_dict"] = dict(enumerate(reversed(mids)))
    return made


def made_tokenizer(cfg: Cfg, *, size: int, dim: int, seed: int = 1) -> dict[str, Any]:
    """A checkpoint of a tokenizer with `size` codes of `dim` dimensions."""
    generator = torch.Generator().manual_seed(seed)
    encoder = made_encoder(cfg, seed=seed)
    width = cfg["encoder_embed_dim"]
    shapes = {
        "quantize_layer.0.weight": (width, width),
        "quantize_layer.0.bias": (width,),
        "quantize_layer.2.weight": (dim, width),
        "quantize_layer.2.bias": (dim,),
    }
    codes = functional.normalize(torch.randn(size, dim, generator=generator), dim=-1)
    quantiser = {
        "quantize.embedding.weight": codes,
        "quantize.embedding.embed_avg": codes.clone(),
        "quantize.embedding.cluster_size": torch.zeros(size),
        "quantize.embedding.initted": torch.ones(1),
        "quantize.cluster_size": torch.ones(size),
    }
    head = {key: _draw(key, shape, generator) for key, shape in shapes.items()}
    return {
        "cfg": {**cfg, "quant_n": size, "quant_dim": dim},
        "model": {**encoder["model"], **head, **quantiser},
    }


def save(checkpoint: object, path: Path) -> Path:
    torch.save(checkpoint, path)
    return path


def _draw(key: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Every part gets a say: a table, gate or norm that did nothing would hide a fault in it."""
    values = torch.randn(shape, generator=generator)
    if key.endswith(("norm.weight", "grep_a")):
        return 1 + 0.2 * values
    if key.endswith("weight_g"):
        return 1 + 0.2 * values.abs()
    if key.endswith(".bias"):
        return 0.1 * values
    if key.endswith("relative_attention_bias.weight"):
        return 0.5 * values
    return values / torch.tensor(shape[1:]).prod().sqrt()


def _with_one_table(state: State) -> State:
    """All layers hold the first layer's bucket table, as one tensor saved several times."""
    tables = [key for key in state if key.endswith("relative_attention_bias.weight")]
    return {**state, **dict.fromkeys(tables, state[tables[0]])}
