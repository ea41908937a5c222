"""The tokenizer graph: its contract, what it is made of, and the check against PyTorch."""

from functools import cache

import numpy as np
import onnx
import pytest
import torch

from earshot_training.config import EncoderConfig
from earshot_training.export.parity import (
    ParityError,
    create_session,
    noise_waveforms,
    pad_waveforms,
)
from earshot_training.export.token_parity import TokenParity, assert_token_parity
from earshot_training.export.tokenizer_graph import create_tokenizer_graph
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig

CONFIG = DistilledTokenizerConfig(
    encoder=EncoderConfig(
        patch_dim=16, dim=24, ffn_dim=32, layers=2, heads=3, conv_pos_kernel=8, conv_pos_groups=4
    ),
    codebook=CodebookConfig(codebook_size=48, codebook_dim=6),
)


def made_tokenizer(seed: int = 0) -> DistilledTokenizer:
    torch.manual_seed(seed)
    tokenizer = DistilledTokenizer(CONFIG)
    waveforms = [torch.from_numpy(waveform) for waveform in noise_waveforms(seed=5)]
    with torch.no_grad():
        # Codes where the vectors of real patches lie, so that the patches get different names.
        fbank = tokenizer.fbank(waveforms[-1].unsqueeze(0))
        vectors, _ = tokenizer.patch_vectors(fbank, torch.tensor([62]))
    tokenizer.codebook.start(vectors[0], seed=seed)
    return tokenizer.eval()


@cache
def tokenizer_and_graph() -> tuple[DistilledTokenizer, onnx.ModelProto]:
    tokenizer = made_tokenizer()
    return tokenizer, create_tokenizer_graph(tokenizer)


def test_tokens_equal_pytorch_alone_and_in_a_batch() -> None:
    tokenizer, graph = tokenizer_and_graph()
    waveforms = noise_waveforms()
    parity = assert_token_parity(tokenizer, graph, waveforms)
    batch, num_samples = pad_waveforms(waveforms)
    expected = tokenizer.tokenize(torch.from_numpy(batch), torch.from_numpy(num_samples)).numpy()
    (tokens,) = create_session(graph).run(None, {"waveform": batch, "num_samples": num_samples})
    assert parity.tokens == 2 * 8 * (1 + 3 + 9 + 31 + 62)
    assert (tokens != expected).sum() == parity.differing / 2 == 0
    assert len(np.unique(tokens)) > 20


def test_inputs_outputs_and_operators() -> None:
    _, graph = tokenizer_and_graph()
    session = create_session(graph)
    declared = {
        value.name: (value.type, value.shape)
        for value in (*session.get_inputs(), *session.get_outputs())
    }
    assert declared == {
        "waveform": ("tensor(float)", ["batch", "samples"]),
        "num_samples": ("tensor(int64)", ["batch"]),
        "tokens": ("tensor(int64)", ["batch", "rows", 8]),
    }
    operators = {node.op_type for node in graph.graph.node}
    assert not operators & {"Shape", "Size", "NonZero", "ConstantOfShape", "Range", "Loop", "If"}


@pytest.mark.parametrize(
    "key", ["head.2.weight", "codebook.code_vectors", "encoder.encoder.layers.1.contract.weight"]
)
def test_another_weight_fails_the_check(key: str) -> None:
    tokenizer, graph = tokenizer_and_graph()
    other = made_tokenizer()
    weights = made_tokenizer(seed=9).state_dict()
    other.load_state_dict({**tokenizer.state_dict(), key: weights[key]})
    with pytest.raises(ParityError, match=r"code vectors are the nearest within 0.0001, got one"):
        assert_token_parity(other, graph, noise_waveforms()[:2])


def test_a_tie_may_fall_either_way() -> None:
    """Two equal code vectors: PyTorch takes the first, a graph with them exchanged the second."""
    tokenizer, _ = tokenizer_and_graph()
    codes = tokenizer.codebook.code_vectors
    nearest = tokenizer.tokenize(*first_clip()).flatten().mode().values
    twin = (int(nearest) + 1) % len(codes)
    tied = made_tokenizer()
    tied.codebook.code_vectors[twin] = codes[nearest]
    graph = create_tokenizer_graph(tied)
    push_away(graph, min(int(nearest), twin))
    parity = assert_token_parity(tied, graph, [first_clip()[0][0].numpy()])
    assert parity.differing > 0
    assert parity.largest_gap < 1e-5


def first_clip() -> tuple[torch.Tensor, torch.Tensor]:
    waveform = torch.from_numpy(noise_waveforms()[2])
    return waveform.unsqueeze(0), torch.tensor([len(waveform)])


def push_away(graph: onnx.ModelProto, code: int) -> None:
    """Make one code vector of the graph farther by less than the tolerance."""
    (norms,) = (tensor for tensor in graph.graph.initializer if tensor.name == "codebook.norms")
    values = onnx.numpy_helper.to_array(norms).copy()
    values[code] += 1e-6
    norms.CopyFrom(onnx.numpy_helper.from_array(values, norms.name))


def test_not_a_number_fails_the_check() -> None:
    tokenizer = made_tokenizer()
    graph = create_tokenizer_graph(tokenizer)
    with torch.no_grad():
        tokenizer.head[2].bias[0] = float("nan")
    with pytest.raises(ParityError, match="got one that is nan farther"):
        assert_token_parity(tokenizer, graph, noise_waveforms()[:1])


def test_an_empty_place_in_a_batch_disturbs_nobody() -> None:
    tokenizer, graph = tokenizer_and_graph()
    waveform = noise_waveforms()[2]
    batch = np.stack([np.zeros_like(waveform), waveform])
    inputs = {"waveform": batch, "num_samples": np.asarray([0, len(waveform)])}
    (tokens,) = create_session(graph).run(None, inputs)
    expected = tokenizer.tokenize(torch.from_numpy(batch[1:]), torch.tensor([len(waveform)]))
    np.testing.assert_array_equal(tokens[1], expected[0].numpy())
    assert not tokens[0, 1:].any()


def test_the_measure_counts_both_runs() -> None:
    tokenizer, graph = tokenizer_and_graph()
    assert assert_token_parity(tokenizer, graph, noise_waveforms()[:1]) == TokenParity(16, 0, 0.0)
