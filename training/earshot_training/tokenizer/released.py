"""Tokenizers of the released BEATs code in our form.

Source: microsoft/unilm, `beats/Tokenizers.py` and `beats/quantizer.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from earshot_training.config import EncoderConfig
from earshot_training.errors import UserError
from earshot_training.model.artefact import load_weights
from earshot_training.model.released import (
    Shapes,
    assert_released_state,
    map_released_config,
    map_released_weights,
    released_count,
    released_shapes,
)
from earshot_training.model.released_file import errors_name, read_released_checkpoint
from earshot_training.tokenizer.artefact import TokenizerArtefact
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig

QUANTISER_KEYS = {
    "quantize_layer.0.weight": "head.0.weight",
    "quantize_layer.0.bias": "head.0.bias",
    "quantize_layer.2.weight": "head.2.weight",
    "quantize_layer.2.bias": "head.2.bias",
    "quantize.embedding.weight": "codebook.code_vectors",
    "quantize.cluster_size": "codebook.code_counts",
    "quantize.embedding.initted": "codebook.is_started",
}


def load_released_tokenizer(path: Path) -> TokenizerArtefact:
    """Read a tokenizer; it is on the CPU, in evaluation mode.

    A UserError names the file, what was expected and what came.
    """
    checkpoint = read_released_checkpoint(path)
    with errors_name(path):
        config, weights = map_released_tokenizer_state(checkpoint.cfg, checkpoint.state)
        tokenizer = DistilledTokenizer(config)
        load_weights(tokenizer, weights, source="weights")
    return TokenizerArtefact(
        tokenizer=tokenizer.eval(), training={"imported_from": checkpoint.provenance}
    )


def map_released_tokenizer_state(
    cfg: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[DistilledTokenizerConfig, dict[str, Tensor]]:
    """Turn the configuration and state dict of a released tokenizer into ours.

    The rules are those of `map_released_state`; a codebook that was never started is a UserError.
    """
    if not any(key.startswith("quantize") for key in state):
        raise UserError("expected the checkpoint of a tokenizer, got that of an encoder")
    encoder = map_released_config(cfg)
    codebook = CodebookConfig(
        codebook_size=released_count(cfg, "quant_n"), codebook_dim=released_count(cfg, "quant_dim")
    )
    shapes = released_shapes(encoder) | _quantiser_shapes(encoder, codebook)
    assert_released_state(state, shapes, kind="a tokenizer")
    quantiser = {ours: state[theirs].float() for theirs, ours in QUANTISER_KEYS.items()}
    quantiser["codebook.is_started"] = quantiser["codebook.is_started"].reshape(())
    if not quantiser["codebook.is_started"]:
        raise UserError("quantize.embedding.initted: expected a codebook that was trained, got 0")
    of_encoder = {key: state[key] for key in released_shapes(encoder)}
    mapped = {
        f"encoder.{key}": value for key, value in map_released_weights(encoder, of_encoder).items()
    }
    return DistilledTokenizerConfig(encoder=encoder, codebook=codebook), mapped | quantiser


def _quantiser_shapes(encoder: EncoderConfig, codebook: CodebookConfig) -> Shapes:
    """Keys and shapes behind the encoder.

    Two of them are not taken over: `embed_avg`, which is never updated, and the `cluster_size` of
    `quantize.embedding`, which k-means left behind.
    """
    dim, size, code_dim = encoder.dim, codebook.codebook_size, codebook.codebook_dim
    return {
        "quantize_layer.0.weight": (dim, dim),
        "quantize_layer.0.bias": (dim,),
        "quantize_layer.2.weight": (code_dim, dim),
        "quantize_layer.2.bias": (code_dim,),
        "quantize.embedding.weight": (size, code_dim),
        "quantize.embedding.embed_avg": (size, code_dim),
        "quantize.embedding.cluster_size": (size,),
        "quantize.embedding.initted": (1,),
        "quantize.cluster_size": (size,),
    }
