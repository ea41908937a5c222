"""The codebook's rule against a loop written out, alone and over two processes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.testing import assert_close

from earshot_training.tokenizer.code_usage import code_usage, count_codes
from earshot_training.tokenizer.codebook import Codebook, CodebookConfig
from earshot_training.tokenizer.kmeans import spherical_kmeans

SIZE, DIM = 12, 5
CONFIG = CodebookConfig(codebook_size=SIZE, codebook_dim=DIM, decay=0.9)


def random_vectors(count: int, *, seed: int) -> Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed))


def started_codebook(config: CodebookConfig = CONFIG) -> Codebook:
    codebook = Codebook(config)
    codebook.start(random_vectors(200, seed=1), seed=0)
    return codebook


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


class PlainCodebook:
    """The rule one vector and one code at a time, in float64."""

    def __init__(self, codes: Tensor) -> None:
        self.codes = codes.double().numpy().copy()

    def step(self, vectors: Tensor) -> tuple[list[int], float]:
        units = [unit(vector) for vector in vectors.double().numpy()]
        tokens, squared = [], 0.0
        for vector in units:
            distances = [float(((vector - code) ** 2).sum()) for code in self.codes]
            tokens.append(min(range(len(distances)), key=distances.__getitem__))
            squared += min(distances)
        for index, code in enumerate(self.codes.copy()):
            members = [v for v, token in zip(units, tokens, strict=True) if token == index]
            towards = unit(sum(members) / len(members)) if members else code
            self.codes[index] = unit(0.9 * code + 0.1 * towards)
        return tokens, squared / len(units)


def test_equals_the_rule_written_out():
    codebook = started_codebook().train()
    plain = PlainCodebook(codebook.code_vectors)
    for seed in range(5):
        vectors = random_vectors(30, seed=10 + seed)
        before = codebook.code_vectors.clone()
        output = codebook(vectors)
        tokens, commitment = plain.step(vectors)
        assert output.token_ids.tolist() == tokens
        assert_close(output.quantized, before[output.token_ids], atol=1e-6, rtol=0)
        assert float(output.commitment_loss) == pytest.approx(commitment, abs=1e-6)
        assert_close(
            codebook.code_vectors.double(), torch.from_numpy(plain.codes), atol=1e-6, rtol=0
        )


def test_a_code_without_members_stays_and_the_count_average_moves_no_vector():
    codebook = started_codebook().train()
    one_code = codebook.code_vectors[3].repeat(8, 1)
    before = codebook.code_vectors.clone()
    counts = codebook.code_counts.clone()
    codebook(one_code)
    assert_close(codebook.code_vectors, before, atol=1e-6, rtol=0)
    expected = 0.9 * counts + 0.1 * count_codes(torch.full((8,), 3), SIZE)
    assert_close(codebook.code_counts, expected)


def test_evaluation_changes_no_state():
    codebook = started_codebook().eval()
    before = {name: value.clone() for name, value in codebook.state_dict().items()}
    codebook(random_vectors(30, seed=2))
    for name, value in codebook.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("is_training", [True, False])
def test_a_codebook_that_was_not_started_is_refused(is_training):
    codebook = Codebook(CONFIG).train(is_training)
    with pytest.raises(RuntimeError, match="started codebook"):
        codebook(random_vectors(30, seed=2))
    assert not codebook.is_started


def test_gradient_passes_straight_through_to_the_vectors():
    codebook = started_codebook().eval()
    direction = torch.randn(30, DIM, generator=torch.Generator().manual_seed(5))
    through = random_vectors(30, seed=2).requires_grad_()
    (codebook(through).quantized * direction).sum().backward()
    without = random_vectors(30, seed=2).requires_grad_()
    (normalize(without, dim=-1) * direction).sum().backward()
    assert_close(through.grad, without.grad)
    assert not list(codebook.parameters())


def test_autocast_changes_nothing():
    vectors = random_vectors(30, seed=2)
    plain, cast = started_codebook().train(), started_codebook().train()
    expected = plain(vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = cast(vectors)
    assert torch.equal(output.token_ids, expected.token_ids)
    assert_close(output.quantized, expected.quantized, atol=0, rtol=0)
    for name, value in cast.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, plain.state_dict()[name]), name


def test_dead_codes_start_again_at_patches_of_the_batch():
    config = CodebookConfig(
        codebook_size=SIZE, codebook_dim=DIM, decay=0.9, restart_usage=1 / (10 * SIZE)
    )
    codebook = started_codebook(config).train()
    codebook.code_counts.fill_(100.0)
    codebook.code_counts[[2, 7]] = 0.0
    codebook.code_vectors[[2, 7]] = -codebook.code_vectors[0]
    alive = [index for index in range(SIZE) if index not in (2, 7)]
    vectors = codebook.code_vectors[[0] * 20] + 0.1 * random_vectors(20, seed=3)
    moved_alone = started_codebook()
    moved_alone.load_state_dict(codebook.state_dict())
    moved_alone.train()(vectors)
    torch.manual_seed(0)
    codebook(vectors)
    units = normalize(vectors, dim=-1)
    for dead in (2, 7):
        assert (units - codebook.code_vectors[dead]).norm(dim=1).min() < 1e-6
        assert codebook.code_counts[dead] > codebook.code_counts.sum() / (2 * SIZE)
    assert torch.equal(codebook.code_vectors[alive], moved_alone.code_vectors[alive])


def test_kmeans_equals_rounds_written_out():
    vectors = normalize(random_vectors(60, seed=4), dim=-1)
    centres, counts = spherical_kmeans(vectors, 6, seed=9, rounds=3)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(9))
    expected = [vectors[index].double().numpy() for index in order[:6]]
    for _ in range(3):
        nearest = [
            max(range(6), key=lambda centre: float(vector.double().numpy() @ expected[centre]))
            for vector in vectors
        ]
        for centre in range(6):
            members = [
                v.double().numpy() for v, n in zip(vectors, nearest, strict=True) if n == centre
            ]
            expected[centre] = unit(sum(members)) if members else expected[centre]
    assert_close(centres.double(), torch.tensor(np.array(expected)), atol=1e-6, rtol=0)
    assert counts.tolist() == [nearest.count(centre) for centre in range(6)]


def test_an_empty_cluster_keeps_its_centre():
    one_direction = normalize(torch.ones(8, DIM), dim=-1)
    centres, counts = spherical_kmeans(one_direction, 3, seed=0)
    assert_close(centres, one_direction[:3])
    assert sorted(counts.tolist()) == [0, 0, 8]


def test_too_few_vectors_for_the_start_are_refused():
    with pytest.raises(ValueError, match="at least 12 vectors to start, got 11"):
        Codebook(CONFIG).start(random_vectors(11, seed=0), seed=0)


def test_usage_by_hand():
    usage = code_usage(torch.tensor([2.0, 1.0, 1.0, 0.0]))
    assert float(usage.usage) == 0.75
    assert float(usage.entropy) == pytest.approx(1.5 * math.log(2))
    assert float(usage.perplexity) == pytest.approx(2**1.5)


def _train_on_shares(rank: int, processes: int, folder: str) -> None:
    """One process: start and three steps on its share of the vectors."""
    codebook = Codebook(CONFIG).train()  # before the group: it must not matter
    if processes > 1:
        torch.set_num_threads(1)
        store = f"file://{folder}/rendezvous"
        torch.distributed.init_process_group(
            "gloo", init_method=store, rank=rank, world_size=processes
        )
    share = slice(rank * 120, 120 + rank * 120) if processes > 1 else slice(0, 240)
    codebook.start(random_vectors(240, seed=1)[share], seed=0)
    metrics = []
    for step in range(3):
        # Shares of unequal size, so that a mean of means would show.
        part = [slice(0, 15), slice(15, 40)][rank] if processes > 1 else slice(0, 40)
        metrics.append(codebook(random_vectors(40, seed=20 + step)[part]).metrics)
    torch.save(
        {"state": codebook.state_dict(), "metrics": metrics}, f"{folder}/{processes}-{rank}.pt"
    )
    if processes > 1:
        torch.distributed.destroy_process_group()


def test_two_processes_equal_one_with_all_vectors(tmp_path: Path):
    _train_on_shares(0, 1, str(tmp_path))
    torch.multiprocessing.spawn(_train_on_shares, args=(2, str(tmp_path)), nprocs=2)
    alone, first, second = (
        torch.load(tmp_path / name, weights_only=True) for name in ("1-0.pt", "2-0.pt", "2-1.pt")
    )
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
        assert_close(value, alone["state"][name], atol=1e-6, rtol=0)
    for ours, theirs in zip(first["metrics"], alone["metrics"], strict=True):
        for name, value in ours.items():
            assert_close(value, theirs[name])


def _start_from_own_vectors(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    codebook = Codebook(CONFIG)
    # Other seeds lead to other centres: only a copy of the first process's can be equal.
    codebook.start(random_vectors(100 + 20 * rank, seed=rank), seed=rank)
    torch.save(codebook.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_the_start_is_that_of_the_first_process(tmp_path: Path):
    torch.multiprocessing.spawn(_start_from_own_vectors, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = Codebook(CONFIG)
    gathered = torch.cat([random_vectors(100, seed=0), random_vectors(120, seed=1)])
    alone.start(gathered, seed=0)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        assert torch.equal(value, alone.state_dict()[name]), name
