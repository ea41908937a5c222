"""The loss of the convolutions against the formulas of PyTorch; their batches of pieces."""

import numpy as np
import torch
from torch.nn import functional

from earshot_training.audio.fbank import Fbank
from earshot_training.config import FbankStatistics
from earshot_training.data.augment_fbank import FbankAugmentConfig
from earshot_training.data.sampler import ClipSampler
from earshot_training.data.stored_fbanks import FbankBatch, FbankBatches
from earshot_training.data.targets import ClipTargets, create_classes
from earshot_training.model.convolutions import ConvolutionTagger
from earshot_training.objectives.competing_labels import CompetingLabelsObjective

PLAIN = FbankAugmentConfig(
    frames=64,
    max_warp=0,
    tone_nats=0,
    max_gain_db=0,
    mixup_probability=0,
    time_masks=0,
    mel_masks=0,
)
TARGETS = torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def create_batch(weights: torch.Tensor | None = None) -> FbankBatch:
    classes = create_classes(TARGETS)
    return FbankBatch(
        fbank=torch.randn(4, 64, 128, generator=seeded()),
        targets=TARGETS,
        target_weights=torch.ones(4, 3) if weights is None else weights,
        classes=classes.class_of_clip,
    )


def create_objective(augment: FbankAugmentConfig = PLAIN) -> CompetingLabelsObjective:
    torch.manual_seed(0)
    tagger = ConvolutionTagger(4, num_labels=3, dropout=0.0)
    return CompetingLabelsObjective(
        tagger.eval(),
        statistics=FbankStatistics(),
        labels_of_class=create_classes(TARGETS).labels_of_class,
        augment=augment,
    )


def test_the_loss_is_that_of_labels_and_that_of_classes():
    objective, batch = create_objective(), create_batch()
    result = objective.loss(batch, seeded())
    logits = objective.module(batch.fbank)
    labels_of_class = create_classes(TARGETS).labels_of_class
    scores = torch.stack(
        [logits[:, labels.bool()].mean(dim=1) for labels in labels_of_class], dim=1
    )
    of_classes = functional.cross_entropy(scores, batch.classes)
    of_labels = functional.binary_cross_entropy_with_logits(logits, TARGETS, reduction="sum") / 4
    near = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(result.metrics["loss/classes"], of_classes.detach(), **near)
    torch.testing.assert_close(result.metrics["loss/labels"], of_labels.detach(), **near)
    torch.testing.assert_close(result.loss, of_classes + of_labels, **near)


def test_a_class_with_a_label_that_is_unknown_for_a_clip_is_no_rival():
    """Clip 1 may well be of the first class, whose other label is unknown for it."""
    weights = torch.ones(4, 3)
    weights[1, 0] = 0
    objective, batch = create_objective(), create_batch(weights)
    logits = objective.module(batch.fbank).detach()
    labels_of_class = create_classes(TARGETS).labels_of_class
    own = int(batch.classes[1])
    scores = logits @ labels_of_class.T / labels_of_class.sum(dim=1)
    rivals = [k for k in range(3) if labels_of_class[k, 0] == 0]
    expected = [functional.cross_entropy(scores[[k]], batch.classes[[k]]) for k in (0, 2, 3)]
    expected.append(
        functional.cross_entropy(scores[[1]][:, rivals], torch.tensor([rivals.index(own)]))
    )
    found = objective.loss(batch, seeded()).metrics["loss/classes"]
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_a_mixture_is_told_both_its_clips_in_their_shares():
    """Mixed with itself in other words: all clips of one class lose nothing by being mixed."""
    mixed = FbankAugmentConfig(**{**vars(PLAIN), "mixup_probability": 1.0})
    objective = create_objective(mixed)
    one = create_batch()
    batch = one._replace(
        fbank=one.fbank[[2]].expand(4, -1, -1),
        targets=TARGETS[[2] * 4],
        classes=one.classes[[2] * 4],
    )
    alone = create_objective().loss(batch, seeded())
    torch.testing.assert_close(
        objective.loss(batch, seeded()).loss, alone.loss, rtol=1e-3, atol=1e-3
    )


class MadeWaveforms:
    """Clips of noise, of 0.5, 1 and 2 seconds."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> np.ndarray:
        self.read.append(index)
        samples = torch.randn(8_000 * 2**index, generator=seeded(index))
        return (0.1 * samples).numpy()


def create_batches(waveforms: MadeWaveforms) -> FbankBatches:
    targets = torch.eye(3)
    return FbankBatches(
        waveforms,  # type: ignore[arg-type]  # as far as it is used
        fbank=Fbank(),
        targets=ClipTargets(
            targets=targets,
            weights=torch.ones(3, 3),
            trained=torch.ones(3, dtype=torch.bool),
            positives=torch.ones(3, dtype=torch.int64),
        ),
        classes=create_classes(targets),
        sampler=ClipSampler(3, 3, seed=0),
        piece_frames=80,
        seed=0,
    )


def test_a_piece_is_frames_of_its_clip_again_from_the_start_where_that_is_short():
    waveforms = MadeWaveforms()
    batches = create_batches(waveforms)
    batch = batches.draw()()
    for fbank, label in zip(batch.fbank, batch.targets.argmax(dim=1), strict=True):
        whole = Fbank()(torch.from_numpy(waveforms[int(label)])[None])[0].half().float()
        start = int((whole == fbank[0]).all(dim=1).nonzero()[0])
        expected = torch.cat([whole] * 4)[start : start + 80]
        assert torch.equal(fbank, expected)


def test_a_restored_source_goes_on_and_reads_no_clip_twice():
    waveforms = MadeWaveforms()
    whole = create_batches(waveforms)
    batches = [whole.draw()() for _ in range(4)]
    assert sorted(waveforms.read) == [0, 1, 2]
    fresh = create_batches(MadeWaveforms())
    for _ in range(2):
        fresh.draw()
    restored = create_batches(MadeWaveforms())
    restored.restore(fresh.position)
    for batch in batches[2:]:
        again = restored.draw()()
        assert all(torch.equal(one, other) for one, other in zip(batch, again, strict=True))
