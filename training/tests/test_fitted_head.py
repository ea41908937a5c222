"""A head fitted to a frozen encoder, against scikit-learn's logistic regression."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from earshot_training.audio.waveform import read_waveform
from earshot_training.config import ConfigError
from earshot_training.model.artefact import Artefact, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.train.finetune import (
    FinetuneConfig,
    create_tagging_run,
    load_finetune_config,
)
from earshot_training.train.fitted_head import fit_head, fit_logistic
from earshot_training.train.tagging_data import read_tagging_data
from tests.made_clips import TINY_CONFIG, write_corpus

L2 = 2.0


def test_every_label_is_a_logistic_regression_of_its_own():
    """Rows of weight 0 do not count; features may have any scale and offset."""
    random = np.random.default_rng(0)
    standard = random.normal(size=(60, 3))
    targets = (standard @ random.normal(size=(3, 2)) + random.normal(size=(60, 2)) > 0).astype(int)
    weights = np.ones((60, 2))
    weights[:20, 1] = 0
    features = standard * [0.01, 1.0, 100.0] + [5.0, 0.0, -3.0]
    weight, bias = fit_logistic(*map(torch.from_numpy, (features, targets, weights)), l2=L2)
    logits = features @ weight.numpy().T + bias.numpy()
    standardised = (features - features.mean(axis=0)) / features.std(axis=0)
    for label in range(2):
        known = weights[:, label] > 0
        expected = LogisticRegression(C=1 / L2, tol=1e-10, max_iter=1000).fit(
            standardised[known], targets[known, label]
        )
        np.testing.assert_allclose(
            logits[:, label], expected.decision_function(standardised), atol=2e-3
        )


def test_a_constant_feature_gets_no_weight():
    features = torch.tensor([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    targets = torch.tensor([[0.0], [0.0], [1.0]])
    weight, bias = fit_logistic(features, targets, torch.ones(3, 1), l2=L2)
    assert weight[0, 0] > 0
    assert weight[0, 1] == 0
    assert bias.isfinite().all()


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    write_corpus(tmp_path / "clips")
    (tmp_path / "tiny.toml").write_text(TINY_CONFIG)
    return load_finetune_config(tmp_path / "tiny.toml")


def test_a_fitted_head_tells_the_training_clips_apart_and_leaves_untrained_rows(
    config: FinetuneConfig,
):
    torch.manual_seed(0)
    model = Beats(config.encoder, num_labels=527, statistics=config.fbank)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = read_tagging_data(config.data, negative_weight=1.0)
    cpu = torch.device("cpu")
    fit_head(model, data, l2=0.1, max_clip_seconds=10.0, device=cpu, autocast=nullcontext)
    trained = data.targets.trained
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"predictor.weight", "predictor.bias"}
    assert torch.equal(model.predictor.weight[~trained], before["predictor.weight"][~trained])
    model.eval()
    for index, clip in enumerate(data.clips):
        waveform = torch.from_numpy(read_waveform(clip.path))
        scores = model(waveform[None], torch.tensor([len(waveform)])).clip_logits[0].sigmoid()
        assert torch.equal(scores[trained] > 0.5, data.targets.targets[index, trained] > 0)


def test_a_run_fits_its_head_once(config: FinetuneConfig, tmp_path: Path):
    torch.manual_seed(5)
    encoder = Beats(config.encoder, statistics=config.fbank)
    save_artefact(tmp_path / "encoder", Artefact(model=encoder, kind="pretrained"))
    fitted = replace(config, init=tmp_path / "encoder", fitted_head_l2=1.0)
    arguments = {"checkpoint_path": tmp_path / "checkpoint.pt", "device": torch.device("cpu")}
    with_head = create_tagging_run(fitted, resume=False, **arguments)
    without = create_tagging_run(replace(fitted, fitted_head_l2=0.0), resume=False, **arguments)
    trained = with_head.targets.trained
    assert not torch.equal(
        with_head.model.predictor.weight[trained], without.model.predictor.weight[trained]
    )
    again = create_tagging_run(fitted, resume=False, **arguments)
    assert torch.equal(with_head.model.predictor.weight, again.model.predictor.weight)
    with pytest.raises(ConfigError, match="fitted_head_l2"):
        replace(config, fitted_head_l2=-1.0)
