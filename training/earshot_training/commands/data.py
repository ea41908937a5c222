"""`earshot-train data`: manifests from data sets, and whether their clips can be read."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from earshot_training.audio.waveform import AudioError, read_waveform
from earshot_training.commands.data_pack import add_pack_parsers
from earshot_training.commands.data_select import add_select_parser
from earshot_training.commands.options import MANIFEST, SubCommands
from earshot_training.data.audio_csv import AudioCsv, class_map, parse_folds, read_audio_csv
from earshot_training.data.audioset import read_audioset
from earshot_training.data.esc50 import read_esc50
from earshot_training.data.manifest import (
    Clip,
    in_folds,
    merge_clips,
    read_manifest,
    without_recordings_of,
    write_manifest,
)
from earshot_training.data.readable import ReadClips, say_faults
from earshot_training.data.urbansound8k import read_urbansound8k
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels


def add_parser(commands: SubCommands) -> None:
    """Declare the commands and their options."""
    parser = commands.add_parser("data", help="make manifests of data sets, and check them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_reader(actions, "esc50", "a folder with ESC-50").set_defaults(
        read=lambda options: ReadClips(read_esc50(options.folder))
    )
    _add_reader(actions, "urbansound8k", "a folder with UrbanSound8K").set_defaults(
        read=lambda options: read_urbansound8k(options.folder)
    )
    _add_csv_reader(actions)
    _add_audioset_reader(actions)
    check = actions.add_parser("check", help="open every clip of a manifest; count what is there")
    check.add_argument("manifest", type=Path, metavar=MANIFEST)
    check.add_argument("--out", type=Path, metavar=MANIFEST, help="write those that can be read")
    check.set_defaults(run=check_manifest)
    merge = actions.add_parser("merge", help="join manifests into one")
    merge.add_argument("manifests", type=Path, nargs="+", metavar=MANIFEST)
    merge.add_argument("--out", type=Path, required=True, metavar=MANIFEST)
    merge.set_defaults(run=merge_manifests)
    add_select_parser(actions)
    add_pack_parsers(actions)


def _add_reader(actions: SubCommands, name: str, of_what: str) -> argparse.ArgumentParser:
    make = actions.add_parser(name, help=f"write the manifest of {of_what}")
    make.add_argument("folder", type=Path, metavar="FOLDER")
    make.add_argument("--out", type=Path, required=True, metavar=MANIFEST)
    make.add_argument("--fold", type=int, metavar="N", help="fold of all clips")
    make.add_argument(
        "--without-recordings-of",
        type=Path,
        metavar=MANIFEST,
        help="leave out clips of recordings that are in this manifest (ids of one source)",
    )
    make.add_argument(
        "--in-folds", type=int, nargs="+", default=[], metavar="FOLD", help="of that manifest"
    )
    make.set_defaults(run=make_manifest)
    return make


def _add_csv_reader(actions: SubCommands) -> None:
    make = _add_reader(actions, "csv", "a folder of audio with a CSV table")
    make.add_argument("--table", type=Path, metavar="FILE.csv", help="default: FOLDER/labels.csv")
    make.add_argument("--source", help="name of the set; default: the folder's")
    make.add_argument("--license", help="of clips whose row names none")
    make.add_argument("--recording-column", default="recording", metavar="COLUMN")
    make.add_argument("--class-map", type=Path, metavar="FILE.csv", help="columns: class, mids")
    make.add_argument(
        "--fold-names", nargs="+", default=[], metavar="NAME=N", help="numbers of named splits"
    )
    make.set_defaults(read=_read_csv)


def _add_audioset_reader(actions: SubCommands) -> None:
    make = _add_reader(actions, "audioset", "AudioSet clips named by YouTube id")
    make.add_argument("--segments", type=Path, required=True, metavar="SEGMENTS.csv[.gz]")
    make.set_defaults(read=lambda options: read_audioset(options.folder, segments=options.segments))


def _read_csv(options: argparse.Namespace) -> ReadClips:
    table = AudioCsv(
        table=options.table or options.folder / "labels.csv",
        source=options.source or options.folder.resolve().name,
        license=options.license,
        recording_column=options.recording_column,
        mids_of_class=None if options.class_map is None else class_map(options.class_map),
        folds=parse_folds(options.fold_names),
    )
    return read_audio_csv(options.folder, table)


def make_manifest(options: argparse.Namespace) -> int:
    """Write the manifest of a data set's folder; files that cannot be opened are named."""
    clips, faults = options.read(options)
    say_faults(faults, print)
    if options.fold is not None:
        clips = tuple(replace(clip, fold=options.fold) for clip in clips)
    if options.without_recordings_of is not None:
        scored = read_manifest(options.without_recordings_of)
        kept = without_recordings_of(
            clips, in_folds(scored, options.in_folds) if options.in_folds else scored
        )
        print(f"{len(clips) - len(kept)} clips left out: their recordings are scored elsewhere")
        clips = kept
    if not clips:
        raise UserError(f"{options.folder}: expected at least one clip, got none")
    num_clips = write_manifest(options.out, clips)
    print(f"{num_clips} clips in {options.out}")
    return 0


def merge_manifests(options: argparse.Namespace) -> int:
    """Write the clips of several manifests, in their order, as one."""
    clips = merge_clips([read_manifest(manifest) for manifest in options.manifests])
    print(f"{write_manifest(options.out, clips)} clips in {options.out}")
    return 0


def check_manifest(options: argparse.Namespace) -> int:
    """Decode every clip; status 1 when any is broken."""
    clips = read_manifest(options.manifest)
    faults = [_fault(clip) for clip in clips]
    broken = [fault for fault in faults if fault is not None]
    for fault in broken:
        print(f"broken: {fault}")
    print(_summary(clips))
    print(f"{len(clips) - len(broken)} of {len(clips)} clips can be read")
    if options.out is not None:
        sound = [clip for clip, fault in zip(clips, faults, strict=True) if fault is None]
        print(f"{write_manifest(options.out, sound)} clips in {options.out}")
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
