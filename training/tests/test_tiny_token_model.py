"""The tiny model with a tokenizer that the service's tests read, and its golden tokens."""

import json

import numpy as np

from earshot_training.audio.waveform import read_waveform
from tests.make_tiny_token_model import (
    CLIP,
    COPIES,
    FIXTURES,
    TINY_TOKEN_MODEL,
    golden_tokens,
    to_windows,
)


def test_the_golden_tokens_are_those_of_the_committed_graph() -> None:
    golden = json.loads((TINY_TOKEN_MODEL.parent / "golden-tokens.json").read_text())
    clip = read_waveform(FIXTURES / "clips" / CLIP)
    assert (golden["clip"], golden["copies"]) == (CLIP, COPIES)
    assert golden["tokens"] == golden_tokens(TINY_TOKEN_MODEL, [clip])
    repeated = to_windows(np.tile(clip, COPIES))
    assert golden["tokens_of_copies"] == golden_tokens(TINY_TOKEN_MODEL, repeated)
    # 25 s are 156 rows of 160 ms, though no window holds more than 62 of them.
    assert len(golden["tokens_of_copies"]) == 156
    assert len(np.unique(golden["tokens"])) > 10
