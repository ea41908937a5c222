"""Targets: what is named, what is absent, what is unknown, what is untrained."""

import json
from pathlib import Path

import pytest
import torch

from earshot_training.data.manifest import Clip, read_manifest
from earshot_training.data.ontology import relatives
from earshot_training.data.sampler import balanced_clip_weights, group_clip_weights
from earshot_training.data.targets import create_targets, to_multi_hot
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from tests.made_clips import BARK, DOG, RAIN, write_corpus

ONTOLOGY = Path(__file__).parents[3] / "shared" / "data" / "audioset" / "ontology.json"
ANIMAL, PETS, HOWL, WATER, BIRD, CROW = (
    "/m/0jbk", "/m/068hy", "/m/07qf0zm", "/m/0838f", "/m/015p6", "/m/04s8yn",
)  # fmt: skip
MIDS = [DOG, BARK, RAIN, ANIMAL, PETS, HOWL, WATER, BIRD]


def clip_of(*mids: str) -> Clip:
    return Clip(
        path=Path("/clips") / f"{'-'.join(mids).replace('/', '_')}.wav",
        mids=mids,
        class_name=None,
        fold=None,
        source="made",
        recording="1",
        seconds=1.0,
        license=None,
    )


def test_relatives_are_the_ancestors_and_the_descendants():
    crow = relatives([CROW])
    assert {BIRD, ANIMAL} <= crow
    assert not {CROW, DOG, RAIN} & crow
    assert CROW in relatives([BIRD])
    assert DOG not in relatives([DOG, BARK])
    assert relatives([]) == frozenset()


@pytest.mark.skipif(not ONTOLOGY.is_file(), reason="no ../shared/data/audioset/ontology.json")
def test_relatives_agree_with_the_ontology_itself():
    children = {node["id"]: node["child_ids"] for node in json.loads(ONTOLOGY.read_text())}

    def descendants(mid: str) -> set[str]:
        return {mid for child in children[mid] for mid in {child} | descendants(child)}

    for label in audioset_labels()[::25]:
        ancestors = {mid for mid in children if label.mid in descendants(mid)}
        assert relatives([label.mid]) == (ancestors | descendants(label.mid)) - {label.mid}


def test_weights_tell_absent_from_unknown_from_untrained():
    made = create_targets(
        [clip_of(DOG, BARK), clip_of(RAIN), clip_of(ANIMAL), clip_of()], MIDS, negative_weight=0.5
    )
    assert made.positives.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert made.trained.tolist() == [True] * 4 + [False] * 4
    expected_weights = [
        [1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0],  # a dog is an animal: unknown, as not named
        [0.5, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0],  # an animal may be a dog
        [0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0],
    ]
    assert made.weights.tolist() == expected_weights
    assert made.targets[0].tolist() == [1.0, 1.0] + [0.0] * 6


def test_labels_outside_the_set_and_lists_without_labels_are_refused():
    with pytest.raises(UserError, match="expected a mid of the label set, got '/m/none'"):
        to_multi_hot([clip_of("/m/none")], MIDS)
    with pytest.raises(UserError, match="expected a training list with labels"):
        create_targets([clip_of()], MIDS, negative_weight=1.0)


def test_balanced_weights_count_a_clip_for_its_rare_labels(tmp_path: Path):
    clips = read_manifest(write_corpus(tmp_path / "clips"))[:9]  # 8 dogs, 1 rain
    weights = balanced_clip_weights(to_multi_hot([*clips, clip_of()], MIDS))
    label_weight = [1000 / 8.01, 1000 / 8.01, 1000 / 1.01]
    expected = [label_weight[0] + label_weight[1]] * 8 + [label_weight[2]]
    expected.append(sum(expected) / 9)
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_group_weights_draw_groups_by_the_root_of_their_size():
    weights = group_clip_weights(["a", "b", "a", "a", "a", ("c", "d")])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.0, 0.5, 0.5, 0.5, 1.0]))
