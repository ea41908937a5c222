"""The released model written out from the paper's formulas, on the released keys, in float64.

It shares no code with the package: another way to the numbers that an import has to give.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def patch_vectors(checkpoint: dict[str, Any], fbank: Tensor) -> Tensor:
    """Last layer's vectors of one clip: normalised fbank (frames, 128) -> (patches, dim)."""
    cfg, state = checkpoint["cfg"], _double(checkpoint["model"])
    size = cfg["input_patch_size"]
    tiles = functional.conv2d(
        fbank.double()[None, None], state["patch_embedding.weight"], stride=size
    )
    x = _norm(state, "layer_norm", tiles[0].flatten(1).T)
    if cfg["embed_dim"] != cfg["encoder_embed_dim"]:
        x = _linear(state, "post_extract_proj", x)
    x = _norm(state, "encoder.layer_norm", x + _positions(cfg, state, x))
    scale = (2 * cfg["encoder_layers"]) ** 0.25
    for layer in range(cfg["encoder_layers"]):
        name = f"encoder.layers.{layer}"
        attended = _attention(cfg, state, f"{name}.self_attn", x)
        x = _norm(state, f"{name}.self_attn_layer_norm", scale * x + attended)
        hidden = functional.gelu(_linear(state, f"{name}.fc1", x))
        x = _norm(
            state, f"{name}.final_layer_norm", scale * x + _linear(state, f"{name}.fc2", hidden)
        )
    return x


def scores(checkpoint: dict[str, Any], vectors: Tensor) -> Tensor:
    """(patches, dim) -> (labels,): sigmoid of the mean of the patches' logits."""
    return _linear(_double(checkpoint["model"]), "predictor", vectors).mean(dim=0).sigmoid()


def token_ids(checkpoint: dict[str, Any], vectors: Tensor) -> Tensor:
    """(patches, dim) -> (patches,): the nearest code of the unit vector."""
    state = _double(checkpoint["model"])
    hidden = _linear(state, "quantize_layer.0", vectors).tanh()
    unit = functional.normalize(_linear(state, "quantize_layer.2", hidden), dim=-1)
    return torch.cdist(unit, state["quantize.embedding.weight"]).argmin(dim=-1)


def _positions(cfg: dict[str, Any], state: dict[str, Tensor], x: Tensor) -> Tensor:
    norm, direction = (state[f"encoder.pos_conv.0.weight_{part}"] for part in "gv")
    kernel = cfg["conv_pos"]
    weight = torch.stack(
        [norm[0, 0, k] * direction[:, :, k] / direction[:, :, k].norm() for k in range(kernel)],
        dim=2,
    )
    bias, groups = state["encoder.pos_conv.0.bias"], cfg["conv_pos_groups"]
    convolved = functional.conv1d(x.T[None], weight, bias, padding=kernel // 2, groups=groups)
    return functional.gelu(convolved[0, :, : len(x)]).T


def _attention(cfg: dict[str, Any], state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    heads = cfg["encoder_attention_heads"]
    query, key, value = (
        _linear(state, f"{name}.{part}_proj", x).view(len(x), heads, -1).transpose(0, 1)
        for part in "qkv"
    )
    outputs = _linear(state, f"{name}.grep_linear", query).view(heads, len(x), 2, 4)
    gate_a, gate_b = outputs.sum(dim=-1).sigmoid().unbind(dim=-1)
    gates = gate_a * (gate_b * state[f"{name}.grep_a"].view(heads, 1) - 1) + 2
    table = state[f"{name}.relative_attention_bias.weight"]
    places = torch.arange(len(x))
    bias = table[_buckets(cfg, places[None] - places[:, None])].permute(2, 0, 1)
    products = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
    attended = (products + gates[..., None] * bias).softmax(dim=-1) @ value
    return _linear(state, f"{name}.out_proj", attended.transpose(0, 1).flatten(1))


def _buckets(cfg: dict[str, Any], distances: Tensor) -> Tensor:
    """Key less query -> bucket; the logarithm in float32, as released."""
    half = cfg["num_buckets"] // 2
    exact = half // 2
    sizes = distances.abs()
    share = torch.log(sizes.float() / exact) / math.log(cfg["max_distance"] / exact)
    far = torch.clamp(exact + (share * (half - exact)).clamp(min=0).long(), max=half - 1)
    return half * (distances > 0) + torch.where(sizes < exact, sizes, far)


def _linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def _double(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: weight.double() for key, weight in state.items()}
