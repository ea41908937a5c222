"""`earshot-train data`: manifests from data sets, and whether their clips can be read."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from earshot_training.audio.waveform import AudioError, read_waveform
from earshot_training.commands.options import SubCommands
from earshot_training.data.esc50 import read_esc50
from earshot_training.data.manifest import Clip, read_manifest, write_manifest
from earshot_training.labels.audioset import audioset_labels

READERS = {"esc50": read_esc50}


def add_parser(commands: SubCommands) -> None:
    """Declare the commands and their options."""
    parser = commands.add_parser("data", help="make manifests of data sets, and check them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, reader in READERS.items():
        make = actions.add_parser(name, help=f"write the manifest of a folder with {name}")
        make.add_argument("folder", type=Path, metavar="FOLDER")
        make.add_argument("--out", type=Path, required=True, metavar="MANIFEST.jsonl")
        make.set_defaults(run=make_manifest, reader=reader)
    check = actions.add_parser("check", help="open every clip of a manifest; count what is there")
    check.add_argument("manifest", type=Path, metavar="MANIFEST.jsonl")
    check.set_defaults(run=check_manifest)


def make_manifest(options: argparse.Namespace) -> int:
    """Write the manifest of a data set's folder."""
    num_clips = write_manifest(options.out, options.reader(options.folder))
    print(f"{num_clips} clips in {options.out}")
    return 0


def check_manifest(options: argparse.Namespace) -> int:
    """Decode every clip; status 1 when any is broken."""
    clips = read_manifest(options.manifest)
    broken = [fault for clip in clips if (fault := _fault(clip)) is not None]
    for fault in broken:
        print(f"broken: {fault}")
    print(_summary(clips))
    print(f"{len(clips) - len(broken)} of {len(clips)} clips can be read")
    return 1 if broken else 0


def _fault(clip: Clip) -> str | None:
    known = {label.mid for label in audioset_labels()}
    unknown = [mid for mid in clip.mids if mid not in known]
    if unknown:
        return f"{clip.path}: expected AudioSet mids, got {', '.join(unknown)}"
    try:
        read_waveform(clip.path)
    except AudioError as error:
        return " ".join(str(error).split())
    return None


def _summary(clips: Sequence[Clip]) -> str:
    hours = sum(clip.seconds for clip in clips) / 3600
    folds = Counter(clip.fold for clip in clips if clip.fold is not None)
    labels = Counter(mid for clip in clips for mid in clip.mids)
    name_of = {label.mid: label.name for label in audioset_labels()}
    lines = [
        f"{len(clips)} clips, {hours:.2f} hours, "
        f"{len({clip.recording for clip in clips})} recordings, "
        f"{sum(not clip.mids for clip in clips)} without a label",
        f"clips of folds: {dict(sorted(folds.items())) or 'none'}",
        f"labels: {len(labels)}",
    ]
    lines += [f"{count:6d}  {name_of.get(mid, mid)}" for mid, count in labels.most_common()]
    return "\n".join(lines)
