"""`earshot-train probe`: what a frozen encoder knows of a labelled list."""

import argparse
import json
from pathlib import Path

from earshot_training.commands.options import SubCommands, add_device_options, use_device
from earshot_training.data.manifest import read_manifest
from earshot_training.model.artefact import load_artefact
from earshot_training.probe.probe import (
    ProbeConfig,
    ProbeResult,
    probe_encoder,
    to_scores,
    usable_clips,
)


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    default = ProbeConfig()
    parser = commands.add_parser("probe", help="score a frozen encoder: linear, kNN, retrieval")
    parser.add_argument("artefact", type=Path, metavar="ARTEFACT")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="single-class clips that lie in folds"
    )
    parser.add_argument(
        "--folds",
        type=int,
        nargs="+",
        default=(),
        metavar="FOLD",
        help="folds to score, each by what the others taught; default: all",
    )
    parser.add_argument("--layers", choices=("weighted", "best"), default=default.layers)
    parser.add_argument("--l2", type=float, default=default.l2, help="of the linear probe")
    parser.add_argument("--neighbours", type=int, default=default.neighbours, metavar="N")
    parser.add_argument("--out", type=Path, metavar="SCORES.json", help="write the scores here too")
    add_device_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Probe and print."""
    config = ProbeConfig(
        layers=options.layers,
        l2=options.l2,
        neighbours=options.neighbours,
        score_folds=tuple(options.folds),
    )
    device = use_device(options)
    listed = read_manifest(options.manifest)
    clips = usable_clips(listed)
    result = probe_encoder(load_artefact(options.artefact).model, clips, config, device=device)
    left_out = len(listed) - len(clips.clips)
    print(
        f"{len(result.scored)} clips of {len(clips.class_names)} classes scored over folds "
        f"{', '.join(map(str, result.score_folds))}; {left_out} clips without class or fold "
        "left out"
    )
    print(_to_text(result, config))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(to_scores(result), indent=2)
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


def _to_text(result: ProbeResult, config: ProbeConfig) -> str:
    lines = [
        f"linear ({config.layers} layers)  {result.linear_accuracy:7.2%}",
        f"kNN (last layer)         {result.knn_accuracy:7.2%}",
        f"precision at {config.retrieved}          {result.retrieval_precision:7.2%}",
        "layer  linear     kNN  weight",
    ]
    per_layer = zip(
        result.layer_accuracy, result.knn_layer_accuracy, result.layer_weights, strict=True
    )
    lines += [
        f"{layer:5d} {linear:7.2%} {knn:7.2%} {weight:7.3f}"
        for layer, (linear, knn, weight) in enumerate(per_layer, start=1)
    ]
    return "\n".join(lines)
