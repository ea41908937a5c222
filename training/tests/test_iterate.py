"""A real run of the loop at a toy size, and what it leaves for people."""

import json
import time

import matplotlib.image
import numpy as np
import pytest

from earshot_training.cli import main
from earshot_training.data.token_store import TokenStore
from earshot_training.iterate.agreement import token_agreement
from earshot_training.iterate.probe_files import load_probe
from earshot_training.iterate.run_folder import RunFolder
from earshot_training.iterate.scores import read_rows
from earshot_training.probe.paired import paired_gain
from tests.iterate_runs import TOY_CONFIG, one_thread
from tests.toy_sounds import write_toy_corpus

MOST_CPU_SECONDS = 120
CHANCE = 1 / 6


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy config run to its end: its folder, status, processor time and command."""
    folder = tmp_path_factory.mktemp("toy")
    manifest = write_toy_corpus(folder / "clips", clips_per_class=34)
    options = ["--manifest", str(manifest), "--probe-manifest", str(manifest), "--threads", "1"]
    command = ["iterate", str(TOY_CONFIG), "--out", str(folder / "run"), *options]
    with one_thread():
        started = time.process_time()
        status = main(command)
        return RunFolder(folder / "run"), status, time.process_time() - started, command


def outcome_of(folder):
    return json.loads((folder.path / "outcome.json").read_text())


def test_a_toy_run_converges(toy):
    folder, status, cpu_seconds, _ = toy
    assert status == 0
    assert outcome_of(folder)["state"] == "converged"
    assert outcome_of(folder)["iterations"] >= 3
    assert cpu_seconds < MOST_CPU_SECONDS


def test_a_finished_run_is_not_run_again(toy, capsys):
    folder, _, _, command = toy
    before = outcome_of(folder), list(folder.records())
    assert main(command) == 0
    assert "Converged at iteration" in capsys.readouterr().out
    assert (outcome_of(folder), list(folder.records())) == before


def test_a_toy_run_learns(toy):
    rows = read_rows(toy[0])
    for row in rows:
        assert row.accuracy > 3 * CHANCE
        assert row.masked_cross_entropy < row.masked_unigram_entropy
        assert row.scores.perplexity >= 16
    # Distilled tokens say more of the class than random projections do.
    assert rows[1].scores.label_information > rows[0].scores.label_information


def test_rows_follow_from_the_artefacts(toy):
    folder, rows = toy[0], read_rows(toy[0])
    for n in range(2, len(rows) + 1):
        row, previous = rows[n - 1], rows[n - 2]
        later, earlier = (load_probe(folder.stage(i, "probe")).linear_correct for i in (n, n - 1))
        assert row.accuracy == later.mean()
        assert row.scores.gain_pp == pytest.approx(100 * (row.accuracy - previous.accuracy))
        error = paired_gain(later, earlier).standard_error_pp
        assert row.scores.gain_standard_error_pp == error
        stores = [TokenStore(folder.stage(i, "probe-tokens")) for i in (n, n - 1)]
        tokens = [np.concatenate([s[i].ravel() for i in range(len(s))]) for s in stores]
        assert row.scores.agreement == token_agreement(*tokens, seed=0)
        assert row.scores.agreement < row.scores.reseed_agreement + 0.1


def test_the_best_pair_has_the_best_score(toy):
    folder, rows = toy[0], read_rows(toy[0])
    outcome = outcome_of(folder)
    assert rows[outcome["best_iteration"] - 1].accuracy == max(row.accuracy for row in rows)
    assert (folder.path / outcome["encoder"] / "weights.safetensors").exists()
    if outcome["best_iteration"] > 1:
        assert (folder.path / outcome["tokenizer"] / "weights.safetensors").exists()


def test_metrics_name_every_step_and_stage(toy):
    folder = toy[0]
    lines = [json.loads(line) for line in (folder.path / "metrics.jsonl").open()]
    steps = [(line["iteration"], line["stage"], line["step"]) for line in lines if "step" in line]
    assert len(set(steps)) == len(steps)
    for record in folder.records():
        done = [step for n, stage, step in steps if (n, stage) == (record.iteration, record.stage)]
        assert done == list(range(1, record.steps + 1))
    finished = [(line["iteration"], line["stage"]) for line in lines if "results" in line]
    assert finished == [(record.iteration, record.stage) for record in folder.records()]


def test_probing_the_best_encoder_again_gives_its_score(toy, tmp_path, capsys):
    folder, _, _, command = toy
    outcome = outcome_of(folder)
    manifest = command[command.index("--manifest") + 1]
    artefact, out = str(folder.path / outcome["encoder"]), tmp_path / "scores.json"
    probe = ["probe", artefact, "--manifest", manifest, "--out", str(out), "--threads", "1"]
    with one_thread():
        assert main(probe) == 0
    found = json.loads(out.read_text())
    row = read_rows(folder)[outcome["best_iteration"] - 1]
    assert found["linear_accuracy"] == row.accuracy
    assert found["knn_accuracy"] == row.knn_accuracy
    assert found["retrieval_precision"] == row.retrieval_precision
    assert f"{row.accuracy:7.2%}" in capsys.readouterr().out


def test_the_report_tells_what_the_run_came_to(toy):
    folder, rows = toy[0], read_rows(toy[0])
    report = (folder.path / "report.md").read_text()
    assert f"**Converged at iteration {len(rows)}.** Best pair by S: iteration " in report
    for row in rows:
        shown = [f"{row.scores.iteration}", f"{100 * row.accuracy:.1f}"]
        assert f"| {' | '.join(shown)} |" in report
        if row.scores.agreement is not None:
            agreement = f"{row.scores.agreement:.3f} | {row.scores.reseed_agreement:.3f}"
            assert agreement in report
        assert f"{row.masked_cross_entropy:.3f} | {row.masked_unigram_entropy:.3f}" in report
    assert f"## Rule at iteration {len(rows)}: converged" in report
    # Folds 1 to 3 of the probe's own list are learnt from: 9, 9 and 8 of a class's 34 clips.
    assert "156 of the 204 scored clips come from recordings that the encoders learnt" in report
    assert f"| all |  | {sum(r.wall_seconds for r in folder.records()):.0f} |" in report
    assert "block(N) = 2N(4D² + 2DF) + 4N²D" in report
    assert '"agreement_margin": 0.1' in report


def test_the_report_has_its_plots(toy):
    folder = toy[0]
    report = (folder.path / "report.md").read_text()
    for name in ("losses", "probes", "agreement", "codebook", "embeddings"):
        assert f"(plots/{name}.png)" in report
        image = matplotlib.image.imread(folder.path / "plots" / f"{name}.png")
        assert image.shape[0] >= 300
        assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 10


def test_the_report_is_made_anew_from_the_run_alone(toy, capsys):
    folder = toy[0]
    before = {path: path.read_bytes() for path in folder.path.glob("plots/*.png")}
    report = (folder.path / "report.md").read_text()
    for path in (*before, folder.path / "report.md", folder.path / "metrics.jsonl"):
        path.unlink()
    assert main(["report", str(folder.path)]) == 0
    assert "Converged at iteration" in capsys.readouterr().out
    assert (folder.path / "report.md").read_text() == report
    assert set(folder.path.glob("plots/*.png")) == set(before)


def test_a_report_of_no_run_is_an_error(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "run.json: expected a table of a run (JSON)" in capsys.readouterr().err
