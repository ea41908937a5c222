"""Runs of the loop that are stopped, killed, changed: the same result, or an error by name."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from earshot_training.cli import main
from earshot_training.config import to_dict
from earshot_training.data.manifest import read_manifest, write_manifest
from earshot_training.data.token_store import TokenStore
from earshot_training.errors import UserError
from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import load_iterate_config
from earshot_training.iterate.context import create_context
from earshot_training.iterate.loop import stages_of
from earshot_training.iterate.report import write_report
from earshot_training.iterate.run_folder import RunFolder
from tests.iterate_runs import (
    SHORT_STEPS,
    one_thread,
    short_config,
    with_supervised_teacher,
    work,
)
from tests.toy_sounds import write_toy_corpus

TIMES = {"wall_seconds", "clips_per_second", "cpu_seconds"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_toy_corpus(tmp_path_factory.mktemp("clips") / "clips", clips_per_class=4)


@pytest.fixture(scope="module")
def uninterrupted(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    work(short_config(manifest), folder)
    return folder


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def assert_same_run(found: Path, expected: Path):
    """Every weight, token, metric and score is the same, bit for bit."""
    for path in sorted(expected.rglob("*.safetensors")):
        ours = load_file(found / path.relative_to(expected))
        for name, weight in load_file(path).items():
            assert torch.equal(weight, ours[name]), (path, name)
    for path in sorted(expected.rglob("header.json")):
        theirs = TokenStore(path.parent)
        ours = TokenStore(found / path.parent.relative_to(expected))
        assert ours.header == theirs.header
        assert all((ours[i] == theirs[i]).all() for i in range(len(theirs)))
    for path in sorted(expected.rglob("clips.npz")):
        with np.load(path) as theirs, np.load(found / path.relative_to(expected)) as ours:
            for name in theirs.files:
                np.testing.assert_array_equal(ours[name], theirs[name])
    ours, theirs = (
        [without_times(json.loads(line)) for line in (folder / "metrics.jsonl").open()]
        for folder in (found, expected)
    )
    assert ours == theirs
    assert (found / "outcome.json").read_text() == (expected / "outcome.json").read_text()


def test_a_run_has_its_stages_and_ends(uninterrupted):
    folder = RunFolder(uninterrupted)
    config = short_config(uninterrupted / "corpus.jsonl")
    expected = [(n, stage.name) for n in (1, 2, 3) for stage in stages_of(n, config)]
    assert [(record.iteration, record.stage) for record in folder.records()] == expected
    assert not list(uninterrupted.rglob("checkpoint.pt"))
    assert not list(uninterrupted.rglob("*.unfinished"))


def test_stopped_and_resumed_equals_uninterrupted(manifest, uninterrupted, tmp_path):
    """Stopped inside stages, at their ends, before and after the early score of an encoder."""
    calls, outcome = 0, None
    while outcome is None or outcome.state == "unfinished":
        outcome = work(short_config(manifest), tmp_path / "run", max_steps=2)
        calls += 1
    steps = 3 * SHORT_STEPS["encoder"] + 4 * SHORT_STEPS["tokenizer"]
    assert calls >= steps // 2
    assert_same_run(tmp_path / "run", uninterrupted)


class KilledError(Exception):
    """Stands for a process that ends without a word."""


@pytest.mark.parametrize("asked", [5, 31])
def test_killed_without_a_checkpoint_equals_uninterrupted(manifest, uninterrupted, tmp_path, asked):
    """The question that is asked after every step and before every stage never returns."""
    left = [asked]

    def kill():
        left[0] -= 1
        if left[0] == 0:
            raise KilledError
        return False

    with pytest.raises(KilledError):
        work(short_config(manifest), tmp_path / "run", is_stop_asked=kill)
    work(short_config(manifest), tmp_path / "run")
    assert_same_run(tmp_path / "run", uninterrupted)


def test_a_stage_that_left_something_half_done_is_done_anew(manifest, uninterrupted, tmp_path):
    """As after a power cut: files are there, the record of their stage is not."""
    outcome = work(short_config(manifest), tmp_path / "run", max_steps=SHORT_STEPS["encoder"])
    assert outcome.state == "unfinished"
    folder = RunFolder(tmp_path / "run")
    for stage in ("tokens", "encoder"):
        folder.stage(1, stage).with_suffix(".json").unlink()
    (folder.stage(1, "tokens") / "tokens.i16").write_bytes(b"half")
    (folder.stage(1, "encoder") / "artefact" / "weights.safetensors").write_bytes(b"half")
    work(short_config(manifest), folder.path)
    assert_same_run(folder.path, uninterrupted)


def test_a_signal_stops_the_command_and_the_same_command_goes_on(manifest, uninterrupted, tmp_path):
    config, out = write_short_toml(tmp_path, manifest), tmp_path / "run"
    command = ["iterate", str(config), "--out", str(out), "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "earshot_training", *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("iteration 1: encoder"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait() == 0
    assert "Unfinished: 0 of at most 3 iterations are done" in rest
    assert "The same command goes on with it." in rest
    assert "Unfinished" in (out / "report.md").read_text()
    with one_thread():
        assert main(command) in (0, 1)
    assert_same_run(out, uninterrupted)


def write_short_toml(folder: Path, manifest: Path) -> Path:
    path = folder / "short.toml"
    path.write_text(to_toml(to_dict(short_config(manifest))))
    assert load_iterate_config(path) == short_config(manifest)
    return path


def to_toml(table: dict, prefix: str = "") -> str:
    given = {key: value for key, value in table.items() if value is not None}
    values = {key: value for key, value in given.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    tables = {key: value for key, value in given.items() if isinstance(value, dict)}
    for key, value in tables.items():
        lines += [f"[{prefix}{key}]", to_toml(value, f"{prefix}{key}.")]
    return "\n".join(lines)


def test_a_supervised_teacher_is_stopped_and_resumed_too(manifest, tmp_path):
    config = with_supervised_teacher(short_config(manifest), manifest)
    work(config, tmp_path / "whole")
    outcome = None
    while outcome is None or outcome.state == "unfinished":
        outcome = work(config, tmp_path / "pieces", max_steps=10)
    assert_same_run(tmp_path / "pieces", tmp_path / "whole")
    teacher = RunFolder(tmp_path / "whole").record(3, "teacher")
    assert (teacher.steps, teacher.results["labels"]) == (SHORT_STEPS["teacher"], 6)
    card = json.loads((tmp_path / "whole/iteration-3/tokenizer/artefact/artefact.json").read_text())
    assert card["training"]["config"]["distillation"]["target"] == "clip_logits"
    report = write_report(RunFolder(tmp_path / "whole")).read_text()
    # Folds 1 and 2 hold half of the 24 clips.
    assert "has seen the labels of the recordings of 12 of the scored clips" in report


def test_clips_that_cannot_be_opened_are_left_out_and_counted(tmp_path):
    manifest = write_toy_corpus(tmp_path / "clips", clips_per_class=4)
    broken = sorted((tmp_path / "clips" / "audio").iterdir())[0]
    broken.write_bytes(b"no audio")
    said = []
    context = create_context(
        short_config(manifest),
        RunFolder(tmp_path / "run"),
        device=torch.device("cpu"),
        budget=Budget(),
        say=said.append,
    )
    assert any(broken.name in line for line in said)
    clips = read_manifest(manifest)
    readable = tuple(clip for clip in clips if clip.path != broken)
    assert context.corpus.manifest == context.probe_clips.clips == readable
    assert read_manifest(tmp_path / "run" / "corpus.jsonl") == readable
    assert context.folder.description()["left_out"] == 1
    assert "Left out, because they cannot be opened: 1 clips" in (
        write_report(context.folder).read_text()
    )


def test_another_config_or_corpus_is_refused_by_name(manifest, uninterrupted):
    config = short_config(manifest)
    stricter = dataclasses.replace(config.convergence, max_gain_pp=0.1)
    with pytest.raises(UserError, match=r"config\.convergence\.max_gain_pp = 0\.5, got 0\.1"):
        work(dataclasses.replace(config, convergence=stricter), uninterrupted)
    fewer = manifest.parent / "fewer.jsonl"
    write_manifest(fewer, read_manifest(manifest)[:-1])
    with pytest.raises(UserError, match="corpus_sha256"):
        work(short_config(fewer), uninterrupted)


def test_a_finished_run_may_lie_elsewhere(manifest, uninterrupted):
    """Paths decide nothing: the same clips by another manifest are the same run."""
    copy = manifest.parent / "copy.jsonl"
    write_manifest(copy, read_manifest(manifest))
    before = (uninterrupted / "metrics.jsonl").read_text()
    assert work(short_config(copy), uninterrupted).state != "unfinished"
    assert (uninterrupted / "metrics.jsonl").read_text() == before
