"""Putting a run together: what a new run takes from an artefact, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from earshot_training.config import ConfigError, FbankStatistics
from earshot_training.data.manifest import read_manifest, write_manifest
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.train.finetune import (
    FinetuneConfig,
    TaggingRun,
    create_tagging_run,
    load_finetune_config,
)
from earshot_training.train.tagging_data import (
    draw_weights,
    read_tagging_data,
    read_training_clips,
)
from tests.made_clips import DOG, RAIN, TINY_CONFIG, write_corpus


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    write_corpus(tmp_path / "clips")
    (tmp_path / "tiny.toml").write_text(TINY_CONFIG)
    return load_finetune_config(tmp_path / "tiny.toml")


def start(config: FinetuneConfig) -> TaggingRun:
    return create_tagging_run(
        config, checkpoint_path=Path("unused.pt"), device=torch.device("cpu"), resume=False
    )


def save_tagger(folder: Path, config: FinetuneConfig, *, trained: set[str]) -> Beats:
    torch.manual_seed(99)
    model = Beats(config.encoder, num_labels=527, statistics=config.fbank)
    labels = tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=label.mid in trained)
        for label in audioset_labels()
    )
    save_artefact(
        folder, Artefact(model=model, kind="finetuned", activation="sigmoid", labels=labels)
    )
    return model


def test_paths_are_relative_to_the_configs_folder(config: FinetuneConfig, tmp_path: Path):
    assert config.data.manifest == tmp_path / "clips" / "manifest.jsonl"
    assert config.init is None


def test_a_run_from_scratch_follows_from_its_seed(config: FinetuneConfig):
    first, second = start(config), start(config)
    other = start(replace(config, seed=4))
    name = "encoder.layers.0.expand.weight"
    assert torch.equal(first.model.state_dict()[name], second.model.state_dict()[name])
    assert not torch.equal(first.model.state_dict()[name], other.model.state_dict()[name])


def test_untrained_labels_start_and_stay_at_their_prior(config: FinetuneConfig):
    run = start(config)
    untrained = ~run.targets.trained
    assert int(untrained.sum()) == 523
    assert not run.model.predictor.weight[untrained].any()
    assert torch.equal(
        run.model.predictor.bias[untrained], torch.logit(torch.tensor(0.5 / 13)).expand(523)
    )


def test_a_run_takes_the_encoder_and_the_rows_that_both_train(
    config: FinetuneConfig, tmp_path: Path
):
    horse = "/m/03k3r"
    teacher = save_tagger(tmp_path / "teacher", config, trained={DOG, horse})
    run = start(replace(config, init=tmp_path / "teacher"))
    for name, value in run.model.state_dict().items():
        if not name.startswith("predictor."):
            assert torch.equal(value, teacher.state_dict()[name]), name
    row_of = {label.mid: label.index for label in audioset_labels()}
    weight, given = run.model.predictor.weight, teacher.predictor.weight
    assert torch.equal(weight[row_of[DOG]], given[row_of[DOG]])
    assert not torch.equal(weight[row_of[RAIN]], given[row_of[RAIN]])
    assert not weight[row_of[horse]].any()


def test_an_artefact_of_another_shape_or_front_end_is_refused(
    config: FinetuneConfig, tmp_path: Path
):
    save_tagger(tmp_path / "teacher", config, trained=set())
    config = replace(config, init=tmp_path / "teacher")
    start(replace(config, encoder=replace(config.encoder, layer_drop=0.0)))
    with pytest.raises(UserError, match="expected an encoder of"):
        start(replace(config, encoder=replace(config.encoder, layers=1)))
    with pytest.raises(UserError, match="expected fbank statistics"):
        start(replace(config, fbank=FbankStatistics(mean=0.0)))


def test_a_run_learns_only_from_the_licences_that_it_names(config: FinetuneConfig):
    clips = read_manifest(config.data.manifest)
    licenses = ["CC0", "CC BY 3.0", "CC BY-NC 3.0", None]
    marked = [
        replace(clip, license=licenses[index // 2 % len(licenses)])
        for index, clip in enumerate(clips)
    ]
    write_manifest(config.data.manifest, marked)
    chosen = read_training_clips(replace(config.data, licenses=("CC-BY", "CC0")))
    assert {clip.license for clip in chosen} == {"CC0", "CC BY 3.0"}
    everything = read_training_clips(config.data)
    assert len([clip for clip in everything if clip.license in ("CC0", "CC BY 3.0")]) == len(chosen)
    assert len(chosen) < len(everything)


def test_a_run_leaves_out_clips_without_a_label_where_it_is_told_to(config: FinetuneConfig):
    clips = read_manifest(config.data.manifest)
    write_manifest(config.data.manifest, [replace(clips[0], mids=()), *clips[1:]])
    first = clips[0].path
    assert first in {clip.path for clip in read_training_clips(config.data)}
    labelled = read_training_clips(replace(config.data, labelled=True))
    assert first not in {clip.path for clip in labelled}


def test_a_main_set_is_drawn_in_its_share(config: FinetuneConfig):
    clips = read_manifest(config.data.manifest)
    street = [replace(clip, source="street") for clip in clips[:5]]
    write_manifest(config.data.manifest, [*street, *clips[5:]])
    drawn = replace(config.data, folds=(), draw="by_set_and_label")
    data = read_tagging_data(drawn, negative_weight=1.0)
    plain = draw_weights(drawn, data)
    weights = draw_weights(replace(drawn, main_source="street", main_share=0.75), data)
    is_street = torch.tensor([clip.source == "street" for clip in data.clips])
    assert float(weights[is_street].sum()) == pytest.approx(0.75)
    assert float(weights[~is_street].sum()) == pytest.approx(0.25)
    for part in (is_street, ~is_street):
        torch.testing.assert_close(
            weights[part] / weights[part].sum(), plain[part] / plain[part].sum()
        )
    with pytest.raises(UserError, match="main_source: expected one of several sets, got 'road'"):
        draw_weights(replace(drawn, main_source="road"), data)
    with pytest.raises(ConfigError, match="main_source: expected none where"):
        replace(config.data, main_source="street")
