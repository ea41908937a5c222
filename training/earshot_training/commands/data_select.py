"""`earshot-train data select`: the clips of a manifest that a run may learn from."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from earshot_training.commands.options import MANIFEST, SubCommands
from earshot_training.data.licenses import with_licenses
from earshot_training.data.manifest import (
    Clip,
    clip_list_sha256,
    from_sources,
    in_folds,
    read_manifest,
    write_manifest,
)
from earshot_training.errors import UserError


def add_select_parser(actions: SubCommands) -> None:
    """Declare the command and its options."""
    parser = actions.add_parser(
        "select", help="keep the clips of some licences, folds and sources; all conditions hold"
    )
    parser.add_argument("manifest", type=Path, metavar=MANIFEST)
    parser.add_argument("--out", type=Path, required=True, metavar=MANIFEST)
    parser.add_argument(
        "--licenses",
        nargs="+",
        default=[],
        metavar="LICENCE",
        help="of the clip itself, in any spelling and version; a clip without one is left out",
    )
    parser.add_argument("--folds", type=int, nargs="+", default=[], metavar="FOLD")
    parser.add_argument("--sources", nargs="+", default=[], metavar="SOURCE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the clips that are kept; say how many of each source and licence."""
    clips = read_manifest(options.manifest)
    kept = _select(clips, options)
    if not kept:
        raise UserError(f"{options.manifest}: expected at least one clip to keep, got none")
    print(_summary(clips, kept))
    write_manifest(options.out, kept)
    hours = sum(clip.seconds for clip in kept) / 3600
    print(
        f"{len(kept)} of {len(clips)} clips ({hours:.2f} hours) in {options.out}, "
        f"list {clip_list_sha256(kept)}"
    )
    return 0


def _select(clips: tuple[Clip, ...], options: argparse.Namespace) -> tuple[Clip, ...]:
    """Each condition is checked against the whole manifest, so that a misspelt name is found."""
    selections = [clips]
    if options.licenses:
        selections.append(with_licenses(clips, options.licenses))
    if options.folds:
        selections.append(in_folds(clips, options.folds))
    if options.sources:
        selections.append(from_sources(clips, options.sources))
    kept = set.intersection(*map(set, selections))
    return tuple(clip for clip in clips if clip in kept)


def _summary(clips: Sequence[Clip], kept: Sequence[Clip]) -> str:
    listed, left = (Counter(map(_kind, part)) for part in (clips, kept))
    lines = [f"{'source':<20}{'licence':<20}{'kept':>8}{'left out':>10}"]
    lines += [
        f"{kind[0]:<20}{kind[1]:<20}{left[kind]:>8}{count - left[kind]:>10}"
        for kind, count in sorted(listed.items())
    ]
    return "\n".join(lines)


def _kind(clip: Clip) -> tuple[str, str]:
    return clip.source, clip.license or "none"
