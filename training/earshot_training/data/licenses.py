"""Licences of clips: their many spellings as families, and the clips that are free enough.

A family is a licence without its version: `CC-BY`, `CC BY 3.0` and
`https://creativecommons.org/licenses/by/4.0/` are one, `CC-BY-NC` is another.
"""

import re
from collections.abc import Sequence

from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError

_DEED = re.compile(r"CREATIVECOMMONS\.ORG/(?:LICENSES|PUBLICDOMAIN)/([A-Z+-]+)")
_VERSION = re.compile(r"-V?\d+\.\d+(?:\.\d+)*(?:-[A-Z]{2,3})?$")
_VERSION_IN_WORDS = re.compile(r"(?<=.)-(UNIVERSAL|INTERNATIONAL|UNPORTED|GENERIC)$")
_SHORT_VERSION = re.compile(r"^(CC-.+)-\d$")
_DEED_FAMILIES = {"ZERO": "CC0", "MARK": "PUBLIC-DOMAIN"}


def license_family(license_name: str) -> str:
    """Name the family of a licence: upper case, words joined by `-`, no version."""
    name = license_name.strip().upper()
    deed = _DEED.search(name)
    if deed:
        return _DEED_FAMILIES.get(deed[1], f"CC-{deed[1]}")
    name = re.sub(r"[\s_-]+", "-", name)
    name = _VERSION.sub("", _VERSION_IN_WORDS.sub("", name))
    return _SHORT_VERSION.sub(r"\1", name)


def with_licenses(clips: Sequence[Clip], licenses: Sequence[str]) -> tuple[Clip, ...]:
    """Clips whose own licence is of a family named; a clip without a licence is left out.

    Raises:
        UserError: a family that no clip has; says which there are.

    """
    wanted = {license_family(name): name for name in licenses}
    present = {license_family(clip.license): clip.license for clip in clips if clip.license}
    for family, name in wanted.items():
        if family not in present:
            listed = ", ".join(sorted({clip.license for clip in clips if clip.license}))
            raise UserError(
                f"expected a licence that a clip has ({listed or 'none has one'}), got {name!r}"
            )
    return tuple(clip for clip in clips if clip.license and license_family(clip.license) in wanted)
