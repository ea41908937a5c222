"""compare: the same budget from several starts, held against the first clip by clip."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from earshot_training.cli import main
from earshot_training.compare.comparison import compare
from earshot_training.compare.starts import Start, parse_starts
from earshot_training.data.manifest import read_manifest
from earshot_training.errors import UserError
from earshot_training.model.artefact import load_artefact, save_artefact
from earshot_training.probe.paired import mcnemar_p
from earshot_training.probe.probe import ProbeConfig, probe_encoder, usable_clips
from earshot_training.train.finetune import load_finetune_config
from earshot_training.train.run_folder import RunLimits
from tests.made_clips import LEARNING_CONFIG, write_corpus

CPU = torch.device("cpu")
STEPS = 12
CONFIG = LEARNING_CONFIG.replace("\nsteps = 30", f"\nsteps = {STEPS}")
FOLDS = (1, 2)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (9, 2), (5, 5), (30, 60), (0, 12)])
def test_mcnemar_is_a_fair_coin(gained: int, lost: int):
    later = np.array([True] * gained + [False] * lost + [True, False])
    earlier = np.array([False] * gained + [True] * lost + [True, False])
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p(later, earlier) == pytest.approx(expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, an encoder that has learnt from them, and a comparison in one go."""
    folder = tmp_path_factory.mktemp("compare")
    write_corpus(folder / "clips")
    (folder / "tiny.toml").write_text(CONFIG)
    (folder / "more.toml").write_text(CONFIG.replace("seed = 3", "seed = 4"))
    assert run("finetune", folder / "more.toml", "--out", folder / "taught") == 0
    assert run_compare(folder, folder / "run") == 0
    return folder


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--device", "cpu"])


def run_compare(folder: Path, out: Path, *options: object) -> int:
    starts = ("--start", "scratch", "--start", f"taught={folder / 'taught' / 'artefact'}")
    command = ("compare", folder / "tiny.toml", "--folds", *FOLDS, "--out", out)
    return run(*command, *starts, *options)


def table_of(out: Path) -> dict:
    table: dict = json.loads((out / "table.json").read_text())
    return table


def test_each_start_is_a_cross_validation_of_its_own(folder: Path):
    table = table_of(folder / "run")
    assert [row["name"] for row in table["rows"]] == ["scratch", "taught"]
    for row in table["rows"]:
        summary = json.loads((folder / "run" / row["name"] / "cross_validation.json").read_text())
        assert row["mean_average_precision"] == summary["over_folds"]["mean_average_precision"]
        assert row["calibration"] == summary["calibration"]
        for fold in FOLDS:
            run_folder = folder / "run" / row["name"] / f"fold-{fold}"
            config = json.loads((run_folder / "config.json").read_text())
            assert config["loop"]["steps"] == STEPS
            assert (config["init"] is None) == (row["name"] == "scratch")
    taught = load_artefact(folder / "taught" / "artefact").training
    began = load_artefact(folder / "run" / "taught" / "fold-1" / "artefact").training
    assert began["started_from"] == taught


def test_rows_are_paired_over_the_clips_of_all_folds(folder: Path):
    table = table_of(folder / "run")
    scratch, taught = table["rows"]
    correct = {}
    for row in (scratch, taught):
        confusions = [
            json.loads((folder / "run" / row["name"] / f"fold-{fold}/evaluation.json").read_text())
            for fold in FOLDS
        ]
        assert row["accuracy"]["correct"] == sum(e["accuracy"]["correct"] for e in confusions)
        assert row["accuracy"]["clips"] == table["clips"] == 24
        correct[row["name"]] = row["accuracy"]["value"]
    difference = taught["difference"]
    assert scratch["difference"] is None
    assert difference["gain_pp"] == pytest.approx(100 * (correct["taught"] - correct["scratch"]))
    assert 0 < difference["standard_error_pp"] < 100 / math.sqrt(24)
    assert 0 < difference["mcnemar_p"] <= 1


def test_starts_with_an_encoder_are_probed(folder: Path):
    scratch, taught = table_of(folder / "run")["rows"]
    assert scratch["probe"] is None
    clips = usable_clips(read_manifest(folder / "clips" / "manifest.jsonl"))
    model = load_artefact(folder / "taught" / "artefact").model
    result = probe_encoder(model, clips, ProbeConfig(score_folds=FOLDS), device=CPU)
    assert taught["probe"]["linear_accuracy"] == result.linear_accuracy
    assert taught["probe"]["knn_accuracy"] == result.knn_accuracy


def test_the_text_says_what_the_table_holds(folder: Path):
    text = (folder / "run" / "table.md").read_text()
    table = table_of(folder / "run")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    for row, line in zip(table["rows"], lines[2:], strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == row["name"]
        assert cells[1].startswith(f"{100 * row['accuracy']['value']:.1f} % (")
    assert f"{table['rows'][1]['difference']['gain_pp']:+.1f} ± " in lines[3]
    assert "a start that has learnt their labels is no fair one" in text
    assert "have learnt from: taught." in text


def test_a_stopped_comparison_goes_on_where_it_was(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = load_finetune_config(folder / "tiny.toml")
    starts = parse_starts(["scratch", f"taught={folder / 'taught' / 'artefact'}"])
    asked = 0

    def stop_in_the_second_fold() -> bool:
        nonlocal asked
        asked += 1
        return asked > STEPS + 5

    limits = RunLimits(should_stop=stop_in_the_second_fold)
    out = tmp_path / "run"
    assert not compare(config, starts, folds=FOLDS, out=out, device=CPU, limits=limits)
    finished = out / "scratch" / "fold-1" / "evaluation.json"
    assert finished.exists()
    assert (out / "scratch" / "fold-2" / "checkpoint.pt").exists()
    assert not (out / "table.json").exists()
    written = finished.stat().st_mtime_ns

    assert run_compare(folder, out) == 0
    assert finished.stat().st_mtime_ns == written
    assert table_of(out) == table_of(folder / "run")
    assert "start 2 of 2: taught" in capsys.readouterr().out


def test_another_start_or_config_in_the_folder_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    other = load_artefact(folder / "taught" / "artefact")
    with torch.no_grad():
        other.model.encoder.layers[0].expand.bias += 1
    save_artefact(folder / "other", other, overwrite=True)
    command = ("compare", folder / "tiny.toml", "--folds", *FOLDS, "--out", folder / "run")
    assert run(*command, "--start", "scratch", "--start", f"taught={folder / 'other'}") == 2
    assert "expected the start that it began with" in capsys.readouterr().err
    (folder / "longer.toml").write_text(CONFIG.replace(f"\nsteps = {STEPS}", "\nsteps = 13"))
    command = ("compare", folder / "longer.toml", *command[2:])
    start = f"taught={folder / 'taught' / 'artefact'}"
    assert run(*command, "--start", "scratch", "--start", start) == 2
    assert f"expected to resume with loop.steps = {STEPS}, got 13" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (["scratch"], "expected at least two starts"),
        (["scratch", "scratch"], "expected at least two starts of different names"),
        (["scratch", "taught"], "got 'taught'"),
        (["scratch", "../x=y"], "got '../x=y'"),
    ],
)
def test_starts_that_cannot_be_are_refused(starts: list[str], message: str):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        parse_starts(starts)


def test_a_config_with_a_start_of_its_own_is_refused(folder: Path):
    config = replace(load_finetune_config(folder / "tiny.toml"), init=folder / "taught")
    starts = (Start("scratch", None), Start("a", folder / "taught" / "artefact"))
    with pytest.raises(UserError, match="init: expected none, for the starts take turns"):
        compare(config, starts, folds=FOLDS, out=folder / "new", device=CPU)
    assert not (folder / "new").exists()
