"""Tokenizer checkpoints of the released BEATs code in our form.

Source: microsoft/unilm, `beats/Tokenizers.py` and `beats/quantizer.py`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from earshot_training.errors import UserError
from earshot_training.model.released import map_released_state
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizerConfig

QUANTISER_KEYS = {
    "quantize_layer.0.weight": "head.0.weight",
    "quantize_layer.0.bias": "head.0.bias",
    "quantize_layer.2.weight": "head.2.weight",
    "quantize_layer.2.bias": "head.2.bias",
    "quantize.embedding.weight": "codebook.code_vectors",
    "quantize.cluster_size": "codebook.code_counts",
    "quantize.embedding.initted": "codebook.is_started",
}

UNUSED_KEYS = ("quantize.embedding.embed_avg", "quantize.embedding.cluster_size")
"""The first is never updated, the second is what k-means left behind."""


def map_released_tokenizer_state(
    cfg: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[DistilledTokenizerConfig, dict[str, Tensor]]:
    """Turn a released tokenizer's configuration and state dict into ours.

    A missing quantiser key or one of another model is a UserError; the encoder's keys are checked
    when the weights are loaded.
    """
    rest = {key: value for key, value in state.items() if key not in UNUSED_KEYS}
    mapped = {ours: _take(rest, theirs) for theirs, ours in QUANTISER_KEYS.items()}
    mapped["codebook.is_started"] = mapped["codebook.is_started"].reshape(())
    encoder, encoder_state = map_released_state(cfg, rest)
    mapped |= {f"encoder.{key}": value for key, value in encoder_state.items()}
    codebook = CodebookConfig(
        codebook_size=_size(cfg, "quant_n"), codebook_dim=_size(cfg, "quant_dim")
    )
    return DistilledTokenizerConfig(encoder=encoder, codebook=codebook), {
        key: value.to(torch.float32) for key, value in mapped.items()
    }


def _take(state: dict[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise UserError(f"expected {key} in the checkpoint of a tokenizer")
    return state.pop(key)


def _size(cfg: Mapping[str, Any], key: str) -> int:
    size = cfg.get(key)
    if not isinstance(size, int) or size < 1:
        raise UserError(f"cfg.{key}: expected a number of at least 1, got {size!r}")
    return size
