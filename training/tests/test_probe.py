"""Frozen probes on features whose answer is known, and against scikit-learn."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError
from earshot_training.probe.cross_validation import (
    choose_score_folds,
    cross_validate,
    scored_clips,
)
from earshot_training.probe.knn import score_knn
from earshot_training.probe.linear import fit_linear_probe, score_best_layer, score_linear
from earshot_training.probe.paired import paired_gain
from earshot_training.probe.probe import ProbeConfig, probe_vectors, usable_clips
from earshot_training.probe.retrieval import precision_at
from earshot_training.train.features import ClipVectors, extract_features

NUM_CLASSES, NUM_CLIPS, DIM = 5, 200, 12


def make_list():
    class_ids = np.arange(NUM_CLIPS) % NUM_CLASSES
    folds = (np.arange(NUM_CLIPS) // NUM_CLASSES) % 4 + 1
    return class_ids, folds


def make_vectors(spreads, *, seed=0):
    """One layer per spread: class centres plus noise of that spread."""
    random = np.random.default_rng(seed)
    class_ids, _ = make_list()
    centres = random.normal(size=(NUM_CLASSES, DIM))
    layers = [centres[class_ids] + s * random.normal(size=(NUM_CLIPS, DIM)) for s in spreads]
    return np.stack(layers).astype(np.float32)


def make_clips():
    class_ids, folds = make_list()
    clip = Clip(
        path=Path("clip.wav"),
        mids=(),
        class_name="a",
        fold=1,
        source="made",
        recording="r",
        seconds=1.0,
        license=None,
    )
    return [
        dataclasses.replace(
            clip,
            path=Path(f"{i}.wav"),
            recording=str(i),
            class_name=f"class {class_ids[i]}",
            fold=int(folds[i]),
        )
        for i in range(NUM_CLIPS)
    ]


def test_separable_classes_are_told_apart_and_noise_is_not():
    class_ids, folds = make_list()
    clear, noise = make_vectors([0.1]), np.random.default_rng(1).normal(size=(1, NUM_CLIPS, DIM))
    for score in (score_linear, score_best_layer):
        assert score(clear, class_ids, folds, (1, 2, 3, 4), l2=1.0).all()
        assert score(noise, class_ids, folds, (1, 2, 3, 4), l2=1.0).mean() < 0.4
    assert score_knn(clear[0], class_ids, folds, (1, 2, 3, 4), neighbours=10).all()
    assert score_knn(noise[0], class_ids, folds, (1, 2, 3, 4), neighbours=10).mean() < 0.4


@pytest.mark.parametrize("l2", [0.1, 1.0, 10.0])
def test_one_layer_equals_scikit_learn(l2):
    class_ids, _ = make_list()
    vectors = make_vectors([1.5])
    ours = fit_linear_probe(vectors, class_ids, num_classes=NUM_CLASSES, l2=l2)
    scaled = StandardScaler().fit_transform(vectors[0].astype(np.float64))
    theirs = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=5000).fit(scaled, class_ids)
    np.testing.assert_allclose(
        ours.logits(vectors).softmax(dim=1).numpy(), theirs.predict_proba(scaled), atol=1e-4
    )


def test_layer_weights_find_the_layer_that_knows():
    class_ids, folds = make_list()
    vectors = make_vectors([8.0, 0.6, 8.0])
    probe = fit_linear_probe(vectors, class_ids, num_classes=NUM_CLASSES, l2=1.0)
    assert probe.layer_weights.argmax() == 1
    assert probe.layer_weights.sum().item() == pytest.approx(1)
    every = (1, 2, 3, 4)
    alone = score_linear(vectors[1:2], class_ids, folds, every, l2=1.0)
    assert (score_best_layer(vectors, class_ids, folds, every, l2=1.0) == alone).all()


def test_the_best_layer_is_not_chosen_on_the_scored_fold():
    """Layer 1 knows the classes of fold 4 alone: no other fold can recommend it."""
    class_ids, folds = make_list()
    vectors = make_vectors([0.8, 50.0])
    vectors[1, folds == 4] = make_vectors([0.01])[0, folds == 4]
    chosen = score_best_layer(vectors, class_ids, folds, (4,), l2=1.0)
    assert (chosen == score_linear(vectors[:1], class_ids, folds, (4,), l2=1.0)).all()


def test_scores_do_not_depend_on_the_scale_of_a_feature():
    class_ids, folds = make_list()
    vectors = make_vectors([1.5])
    scales = np.logspace(-3, 3, DIM).astype(np.float32)
    every = (1, 2, 3, 4)
    plain = score_linear(vectors, class_ids, folds, every, l2=1.0)
    assert (score_linear(vectors * scales + 5, class_ids, folds, every, l2=1.0) == plain).all()


def test_a_fold_never_teaches_itself():
    class_ids, folds = make_list()
    seen = []

    def predict(training, scored):
        assert set(folds[training]) & set(folds[scored]) == set()
        seen.extend(scored)
        return class_ids[scored]

    correct = cross_validate(predict, class_ids, folds, (4, 2))
    assert correct.all()
    assert sorted(seen) == list(scored_clips(folds, (4, 2)))


def test_folds_to_score():
    folds = np.array([1, 1, 2, 5])
    assert choose_score_folds(folds, ()) == (1, 2, 5)
    assert choose_score_folds(folds, (5,)) == (5,)
    with pytest.raises(UserError, match=r"among \[1, 2, 5\], got \[3\]"):
        choose_score_folds(folds, (3,))
    with pytest.raises(UserError, match="at least two folds"):
        choose_score_folds(np.array([1, 1]), ())


def test_neighbours_equal_those_of_scikit_learn():
    class_ids, folds = make_list()
    vectors = make_vectors([1.5])[0]
    training, scored = folds != 2, folds == 2
    centred = vectors - vectors[training].mean(axis=0)
    model = NearestNeighbors(n_neighbors=7, metric="cosine").fit(centred[training])
    distances, nearest = model.kneighbors(centred[scored])
    expected = []
    for row in range(scored.sum()):
        votes = np.zeros(NUM_CLASSES)
        for distance, index in zip(distances[row], nearest[row], strict=True):
            votes[class_ids[training][index]] += 2 - distance
        expected.append(votes.argmax() == class_ids[scored][row])
    assert list(score_knn(vectors, class_ids, folds, (2,), neighbours=7)) == expected


def test_retrieval_by_hand():
    embeddings = np.array([[1, 0.1], [1, -0.1], [-1, 0.1], [-1, -0.1]], dtype=np.float32)

    def precision(class_ids, recordings="abcd", retrieved=1, queries=(0, 1, 2, 3)):
        classes, asked = np.array(class_ids), np.array(queries)
        return precision_at(
            embeddings, classes, list(recordings), queries=asked, retrieved=retrieved
        )

    assert precision([0, 0, 1, 1]) == 1.0
    assert precision([0, 1, 0, 1]) == 0.0
    assert precision([0, 0, 1, 1], retrieved=3) == pytest.approx(1 / 3)
    # Clip 0 may not find clip 1, which is of its own recording.
    assert precision([0, 0, 1, 1], "aacd") == 0.5
    assert precision([0, 0, 1, 1], "aacd", queries=(2, 3)) == 1.0


def test_paired_standard_error_by_hand():
    later = np.array([1, 1, 1, 0, 1, 0, 1, 1], dtype=bool)
    earlier = np.array([1, 0, 0, 0, 1, 1, 1, 1], dtype=bool)
    # d = 0 1 1 0 0 -1 0 0: mean 1/8, sum of squares 3, variance (3 - 8/64) / 7
    gain = paired_gain(later, earlier)
    assert gain.gain_pp == pytest.approx(12.5)
    assert gain.standard_error_pp == pytest.approx(100 * ((3 - 8 / 64) / 7) ** 0.5 / 8**0.5)
    assert paired_gain(later, later) == (0.0, 0.0)
    with pytest.raises(UserError, match="same two or more clips"):
        paired_gain(later, earlier[:-1])


def test_all_probes_of_a_list():
    clips = make_clips()
    unusable = dataclasses.replace(clips[0], class_name=None)
    probe_clips = usable_clips([unusable, *clips])
    assert probe_clips.class_names == tuple(f"class {i}" for i in range(NUM_CLASSES))
    layers = make_vectors([3.0, 0.3])
    vectors = ClipVectors(layers, np.concatenate([layers[1], layers[1][:, :1]], axis=1))
    result = probe_vectors(vectors, probe_clips, ProbeConfig(score_folds=(1, 3)))
    assert len(result.scored) == len(result.linear_correct) == len(result.knn_correct) == 100
    assert result.linear_accuracy == 1.0
    assert result.layer_accuracy[1] == 1.0 > result.layer_accuracy[0]
    assert result.retrieval_precision > 0.95
    assert (result.clip_embeddings == vectors.embeddings).all()
    again = probe_vectors(vectors, probe_clips, ProbeConfig(score_folds=(1, 3)))
    assert again.layer_weights == result.layer_weights


def test_a_list_without_classes_is_refused():
    with pytest.raises(UserError, match="at least two classes"):
        usable_clips([dataclasses.replace(clip, class_name="one") for clip in make_clips()])


@pytest.mark.parametrize("convolution_width", [0, 2])
def test_pooled_vectors_leave_padding_out(tmp_path, convolution_width):
    import soundfile

    from earshot_training.config import EncoderConfig
    from earshot_training.model.beats import Beats

    torch.manual_seed(0)
    encoder = EncoderConfig(
        patch_dim=16,
        dim=16,
        ffn_dim=32,
        layers=2,
        heads=4,
        conv_pos_kernel=8,
        conv_pos_groups=4,
        convolution_width=convolution_width,
    )
    model = Beats(encoder)
    clips = make_clips()[:3]
    random = np.random.default_rng(0)
    placed = []
    for clip, seconds in zip(clips, (1.5, 0.4, 1.0), strict=True):
        path = tmp_path / clip.path
        soundfile.write(path, random.normal(size=int(16_000 * seconds)) * 0.1, 16_000)
        placed.append(dataclasses.replace(clip, path=path, seconds=seconds))
    options = {"max_clip_seconds": 1.2, "device": torch.device("cpu")}
    together = extract_features(model, placed, batch_size=3, **options)
    for index, clip in enumerate(placed):
        alone = extract_features(model, [clip], batch_size=1, **options)
        np.testing.assert_allclose(together.layers[:, index], alone.layers[:, 0], atol=2e-5)
        np.testing.assert_allclose(together.embeddings[index], alone.embeddings[0], atol=2e-5)
    waveform = torch.from_numpy(soundfile.read(placed[1].path, dtype="float32")[0]).unsqueeze(0)
    output = model(waveform, torch.tensor([waveform.shape[1]]))
    expected = output.clip_embedding[0].detach().numpy()
    np.testing.assert_allclose(together.embeddings[1], expected, atol=2e-5)
    np.testing.assert_allclose(together.layers[-1, 1], expected[: encoder.dim], atol=2e-5)
