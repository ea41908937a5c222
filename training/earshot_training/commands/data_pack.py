"""`earshot-train data pack` and `data unpack`: clips and manifests as one file, and back."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from earshot_training.commands.options import MANIFEST, SubCommands
from earshot_training.data.manifest import Clip, clip_list_sha256, read_manifest
from earshot_training.data.pack import pack
from earshot_training.data.unpack import unpack
from earshot_training.errors import UserError


def add_pack_parsers(actions: SubCommands) -> None:
    """Declare both commands and their options."""
    packing = actions.add_parser("pack", help="write manifests and all their clips as one tar file")
    packing.add_argument("manifests", type=Path, nargs="+", metavar=MANIFEST)
    packing.add_argument("--out", type=Path, required=True, metavar="CORPUS.tar")
    packing.add_argument(
        "--flac",
        action="store_true",
        help="turn clips into mono FLAC of 16 kHz and 16 bits, which is read fastest",
    )
    packing.set_defaults(run=run_pack)
    unpacking = actions.add_parser("unpack", help="unpack such a file, checking every hash")
    unpacking.add_argument("archive", type=Path, metavar="CORPUS.tar")
    unpacking.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    unpacking.set_defaults(run=run_unpack)


def run_pack(options: argparse.Namespace) -> int:
    """Write the archive; say what each manifest in it holds."""
    names = [path.name for path in options.manifests]
    if len(set(names)) < len(names):
        raise UserError(f"expected manifests of different names, got {names}")
    manifests = {path.name: read_manifest(path) for path in options.manifests}
    packed = pack(manifests, options.out, to_flac=options.flac)
    print(_summary(packed))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
    return 0


def run_unpack(options: argparse.Namespace) -> int:
    """Unpack into a new folder; say what each manifest in it holds."""
    print(_summary(unpack(options.archive, options.out)))
    return 0


def _summary(manifests: Mapping[str, Sequence[Clip]]) -> str:
    return "\n".join(
        f"{name}: {len(clips)} clips, {sum(clip.seconds for clip in clips) / 3600:.2f} hours, "
        f"list {clip_list_sha256(clips)}"
        for name, clips in sorted(manifests.items())
    )
