"""README.md of a model folder says what model.json says, and can be written anew from it."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from earshot_training.cli import main
from earshot_training.data.manifest import in_folds, read_manifest
from earshot_training.export.readme import readme_text
from tests.made_clips import LEARNING_CONFIG, write_corpus
from tests.make_tiny_model import TINY_MODEL

CONFIG = LEARNING_CONFIG.replace("\nsteps = 30", "\nsteps = 8")


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--device", "cpu"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a history: two stages, a comparison, scores by its folds, calibration."""
    folder = tmp_path_factory.mktemp("readme")
    write_corpus(folder / "clips")
    config, first, second = folder / "tiny.toml", folder / "first", folder / "second"
    config.write_text(CONFIG)
    assert run("finetune", config, "--out", first) == 0
    starts = ("--start", "scratch", "--start", f"first={first / 'artefact'}")
    folds = ("--folds", 1, 2)
    assert run("compare", config, *folds, "--out", folder / "compared", *starts) == 0
    assert run("finetune", config, "--init", first / "artefact", "--out", second) == 0
    turns = ("--cross-validation", folder / "compared" / "first")
    calibrated = folder / "calibrated"
    assert run("probe", "--manifest", folder / "clips" / "manifest.jsonl", *turns) == 0
    assert run("calibrate", second / "artefact", *turns, "--out", calibrated) == 0
    assert run("evaluate", calibrated, *turns) == 0
    identity = ("--license", "CC-BY-4.0", "--description", "A model of tones.")
    options = (*identity, "--comparison", folder / "compared", "--out", folder / "model")
    assert main(["export", *map(str, (calibrated, *options))]) == 0
    return folder


def card_of(folder: Path) -> dict:
    card: dict = json.loads((folder / "model" / "model.json").read_text())
    return card


def text_of(folder: Path) -> str:
    return (folder / "model" / "README.md").read_text()


def cells(text: str, header: str) -> list[list[str]]:
    """Rows of the table that follows a header line."""
    lines = text.split(header, 1)[1].splitlines()[2:]
    rows = lines[: next(i for i, line in enumerate([*lines, ""]) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_it_can_be_written_anew_from_the_card_alone(folder: Path, tmp_path: Path):
    (tmp_path / "model.json").write_text((folder / "model" / "model.json").read_text())
    assert main(["card", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == text_of(folder)


def test_data_is_counted_by_source_and_licence(folder: Path):
    data = section(text_of(folder), "Training data")
    clips = read_manifest(folder / "clips" / "manifest.jsonl")
    rows = cells(data, "| source | licence of the clips | clips | hours |")
    counted = Counter((clip.source, clip.license) for clip in clips)
    assert {(row[0], row[1]): int(row[2]) for row in rows} == counted
    # Both stages have learnt from one list: it stands there once, with both names.
    assert data.startswith("\nStage 1 (fine-tuning on labels), Stage 2 (fine-tuning on labels): ")
    assert card_of(folder)["training"]["data"]["clips_sha256"] in data


def test_labels_without_examples_and_weak_ones_are_named(folder: Path):
    text, labels = (
        section(text_of(folder), "What it can and cannot hear"),
        card_of(folder)["labels"],
    )
    trained = [label for label in labels if label["trained"]]
    assert f"{len(trained)} of 527 labels had positive examples." in text
    untrained = {label["name"] for label in labels if not label["trained"]}
    assert f"{len(untrained)} had none and cannot be heard" in text
    examples = re.search(r"among them (.+)\. `model\.json`", text)
    assert examples is not None
    named = examples[1].split("; ")
    assert len(set(named)) == 15
    assert set(named) <= untrained
    weak = cells(text, "| label | average precision | positives in training |")
    expected = sorted(trained, key=lambda label: label["average_precision"])
    assert weak == [
        [label["name"], f"{label['average_precision']:.2f}", str(label["positives"])]
        for label in expected
    ]


def test_scores_stand_with_their_intervals_and_lists(folder: Path):
    text, evaluation = section(text_of(folder), "Scores"), card_of(folder)["evaluation"]
    low, high = evaluation["accuracy"]["wilson_95"]
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    assert f"{100 * evaluation['accuracy']['value']:.1f} % ({interval})" in text
    assert (
        f"| mean average precision (4 labels) | {evaluation['mean_average_precision']:.3f} |"
        in text
    )
    assert evaluation["data"]["clips_sha256"] in text
    assert "each clip by one that had not learnt from its fold, as these weights have." in text
    for row, fold in zip(
        cells(text, "| fold | clips | accuracy | mAP | list |"), (1, 2), strict=False
    ):
        scored = evaluation["cross_validation"]["folds"][fold - 1]
        assert row == [
            str(fold),
            str(len(in_folds(read_manifest(folder / "clips" / "manifest.jsonl"), [fold]))),
            f"{100 * scored['accuracy']:.1f} %",
            f"{scored['mean_average_precision']:.3f}",
            f"`{scored['clips_sha256']}`",
        ]
    probe = evaluation["cross_validation"]["probe"]["all"]
    assert f"on the {probe['scored_clips']} clips of its own fold" in text
    assert f"linear probe of its encoder's layers {100 * probe['linear_accuracy']:.1f} %" in text
    assert f"of the clip's class {100 * probe['retrieval_precision']:.1f} %." in text
    compared = (folder / "compared" / "table.md").read_text().split("\n\n", 1)[1]
    assert compared.strip() in text


def test_calibration_says_what_was_done_and_what_is_left(folder: Path):
    text, card = section(text_of(folder), "Calibration"), card_of(folder)
    fitted, measured = card["training"]["calibration"], card["evaluation"]["calibration"]
    assert f"scaled by {fitted['scale']:.3f} and shifted by {fitted['shift']:.3f}" in text
    errors = [
        f"{100 * part['top_tag']['expected_calibration_error']:.1f} %"
        for part in (fitted["before"], fitted["after"], measured)
    ]
    assert f"went from {errors[0]} to {errors[1]}." in text
    assert f"is {errors[2]} for each clip's highest label (24 clips; by chance" in text
    rows = cells(text, "| mean score | share that was right | clips |")
    assert sum(int(row[2]) for row in rows) == 24


def test_history_and_files(folder: Path):
    text, card = text_of(folder), card_of(folder)
    rows = cells(text, "| stage | steps | clips seen | hours heard | processor hours | code |")
    assert [row[:3] for row in rows] == [
        [f"{number}. fine-tuning on labels", "8", "32"] for number in (1, 2)
    ]
    commands = section(text, "How it was made")
    assert commands.index("CONFIG.toml --out RUN\n") < commands.index("--init ARTEFACT\n")
    assert "earshot-train calibrate" in commands
    for name, what, size, digest in cells(text, "| file | is | bytes | sha256 |"):
        content = (folder / "model" / name.strip("`")).read_bytes()
        assert what == "encoder, fp32"
        assert (int(size), digest) == (len(content), f"`{hashlib.sha256(content).hexdigest()}`")
    assert text.startswith(
        f"# {card['name']}\n\nA model of tones.\n\nRevision 1. Weights: CC-BY-4.0."
    )


def test_what_the_card_does_not_say_is_said_to_be_missing():
    card = json.loads((TINY_MODEL / "model.json").read_text())
    text = readme_text(card)
    assert section(text, "Training data").strip() == "The record does not say."
    assert section(text, "Scores").strip() == "The model has not been scored."
    assert "has not been measured" in section(text, "Calibration")
    assert section(text, "How it was made").strip() == "The record does not say."
    unlabelled = readme_text({**card, "labels": [], "tokens": {"codebook_size": 64, "bands": 8}})
    assert "it gives no tags and no events" in unlabelled
    assert "tags of a recording" not in unlabelled
    assert "acoustic tokens from a codebook of 64" in unlabelled
    source = {"imported_from": {"file": "b.pt", "sha256": "5f"}}
    imported = section(readme_text({**card, "training": source}), "How it was made")
    assert imported.strip() == "Imported from `b.pt` (sha256 `5f`)."


def test_a_model_tuned_from_an_imported_one_says_both(folder: Path):
    card = card_of(folder)
    first = card["training"]["started_from"] | {
        "started_from": {"imported_from": {"file": "b.pt", "sha256": "5f"}}
    }
    card["training"]["started_from"] = first
    text = section(readme_text(card), "How it was made")
    assert text.strip().startswith("Imported from `b.pt` (sha256 `5f`).\n\n| stage |")
    assert "| 2. fine-tuning on labels |" in text


def test_convolutions_are_a_stage_before_the_one_they_are_joined_in(folder: Path):
    card = card_of(folder)
    of_second = card["training"]
    alone = {**of_second, "objective": "convolutions", "steps": 7}
    header = "| stage | steps | clips seen | hours heard | processor hours | code |"
    for steps, last in ((0, "4. both joined"), (8, "4. fine-tuning on labels")):
        both = {**of_second, "steps": steps, "convolutions": alone, "started_from": of_second}
        text = section(readme_text({**card, "training": both}), "How it was made")
        assert [row[:2] for row in cells(text, header)] == [
            ["1. fine-tuning on labels", "8"],
            ["2. fine-tuning on labels", "8"],
            ["3. the convolutions, alone", "7"],
            [last, str(steps)],
        ]
        assert text.count("earshot-train finetune") == 3


def test_a_folder_without_a_card_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["card", str(tmp_path)]) == 2
    assert "expected a model card" in capsys.readouterr().err
    (tmp_path / "model.json").write_text("{}")
    assert main(["card", str(tmp_path)]) == 2
    assert not (tmp_path / "README.md").exists()
