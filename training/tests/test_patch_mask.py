"""Which patches are kept: counts, uniformity, padding."""

import pytest
import torch

from earshot_training.data.patch_mask import PatchMask, draw_patch_mask, num_kept


def draw(rows: list[int], *, ratio: float = 0.75, seed: int = 0) -> PatchMask:
    generator = torch.Generator().manual_seed(seed)
    return draw_patch_mask(torch.tensor(rows), hidden_ratio=ratio, generator=generator)


def test_clips_of_one_length_keep_the_rounded_share():
    mask = draw([31, 31, 31])
    assert mask.kept.shape == (3, round(0.25 * 248))
    assert len(mask.hidden) == 3 * (248 - 62)


@pytest.mark.parametrize("rows", [[5, 5], [31, 7, 1], [1], [62, 61]])
@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9])
def test_kept_and_hidden_are_exactly_the_valid_patches(rows, ratio):
    mask = draw(rows, ratio=ratio)
    num_patches = 8 * max(rows)
    for clip, clip_rows in enumerate(rows):
        valid = set(range(8 * clip_rows))
        kept = mask.kept[clip].tolist()
        assert kept == sorted(set(kept))
        assert max(kept) < num_patches
        kept_valid = valid.intersection(kept)
        first = clip * num_patches
        hidden = {
            int(place) - first for place in mask.hidden if first <= place < first + num_patches
        }
        assert len(kept_valid) == num_kept(len(valid), ratio)
        assert hidden == valid - kept_valid


def test_every_patch_is_hidden_equally_often():
    draws = 4000
    mask = draw([2] * draws)
    hidden = torch.bincount(mask.hidden % 16, minlength=16) / draws
    # Four standard errors of a share of 0.75 over 4000 draws are 0.027.
    assert (hidden - 0.75).abs().max() < 0.03


def test_the_generator_decides():
    first, again, other = draw([9, 4]), draw([9, 4]), draw([9, 4], seed=1)
    assert torch.equal(first.kept, again.kept)
    assert torch.equal(first.hidden, again.hidden)
    assert not torch.equal(first.kept, other.kept)


@pytest.mark.parametrize(
    ("num_patches", "ratio", "kept"), [(8, 0.99, 1), (8, 0.01, 7), (496, 0.75, 124)]
)
def test_something_is_kept_and_something_hidden(num_patches, ratio, kept):
    assert num_kept(num_patches, ratio) == kept
