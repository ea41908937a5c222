"""Configuration as a value: frozen dataclasses and their strict reading from tables."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from earshot_training.errors import UserError

MEL_BINS = 128

ABSENT_IN_OLDER_FILES = {"absent_in_older_files": True}
"""Metadata of a field that came after files were written, and whose default is what they meant."""

Section = TypeVar("Section")


class ConfigError(UserError):
    """A configuration table that does not hold what its dataclass expects."""


@dataclass(frozen=True, kw_only=True)
class FbankStatistics:
    """Mean and standard deviation (nat) that normalise the fbank; the defaults are AudioSet's."""

    mean: float = 15.41663
    std: float = 6.55582


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of a BEATs encoder; the defaults are the base model of the paper."""

    patch_size: int = 16
    patch_dim: int = 512
    dim: int = 768
    ffn_dim: int = 3072
    layers: int = 12
    heads: int = 12
    conv_pos_kernel: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    layer_drop: float = 0.0
    convolution_width: int = dataclasses.field(default=0, metadata=ABSENT_IN_OLDER_FILES)
    """Channels of the stem of a convolutional network beside the encoder, whose vectors of patches
    follow the encoder's; 0: none, as in the paper."""

    def __post_init__(self) -> None:
        """Refuse sizes that no encoder can have."""
        for name in ("patch_dim", "dim", "ffn_dim", "layers", "heads", "conv_pos_kernel"):
            _expect(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _expect(
            self.patch_size >= 1 and MEL_BINS % self.patch_size == 0,
            "patch_size",
            f"a divisor of {MEL_BINS}",
            self.patch_size,
        )
        _expect(
            self.convolution_width >= 0, "convolution_width", "at least 0", self.convolution_width
        )
        _expect(
            self.convolution_width == 0 or self.patch_size == 16,
            "convolution_width",
            "0 where patches are not 16 x 16",
            self.convolution_width,
        )
        for name in ("heads", "conv_pos_groups"):
            divisor = getattr(self, name)
            divides = divisor >= 1 and self.dim % divisor == 0
            _expect(divides, name, f"a divisor of dim ({self.dim})", divisor)
        _expect(
            self.num_buckets >= 4 and self.num_buckets % 4 == 0,
            "num_buckets",
            "a multiple of 4",
            self.num_buckets,
        )
        _expect(
            self.max_distance > self.num_buckets // 4,
            "max_distance",
            f"more than num_buckets / 4 ({self.num_buckets // 4})",
            self.max_distance,
        )
        for name in ("dropout", "attention_dropout", "activation_dropout", "layer_drop"):
            rate = getattr(self, name)
            _expect(0.0 <= rate < 1.0, name, "a rate in [0, 1)", rate)

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.dim // self.heads

    @property
    def convolution_dim(self) -> int:
        """Dimensions of what the convolutional network says of a patch; 0 without one."""
        return 8 * self.convolution_width

    @property
    def embedding_dim(self) -> int:
        """Dimensions of an embedding: the encoder's and the convolutional network's."""
        return self.dim + self.convolution_dim

    @property
    def bands(self) -> int:
        """Patches per row of the patch grid: 8 for patches of 16 mel bins."""
        return MEL_BINS // self.patch_size


def assert_pretrainable(config: EncoderConfig, name: str) -> None:
    """Refuse an encoder that tokens cannot train: other patches, or convolutions, which see them.

    Raises:
        ConfigError: names the value under `name`.

    """
    _expect(config.patch_size == 16, f"{name}.patch_size", 16, config.patch_size)
    width = config.convolution_width
    _expect(width == 0, f"{name}.convolution_width", "0 (they learn in fine-tuning)", width)


def parse_section(
    cls: type[Section], table: Mapping[str, object], *, complete: bool = False, path: str = ""
) -> Section:
    """Build the dataclass `cls` from a table read from TOML or JSON.

    An unknown key, a missing key without a default and a value of a wrong type are each a
    ConfigError that names the key, what was expected and what came. With `complete`, every key
    must be there: files written by `to_dict` then never depend on later defaults. Only fields that
    are `ABSENT_IN_OLDER_FILES` may be missing.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # cls is a dataclass type
    hints = typing.get_type_hints(cls)
    for key in table:
        if key not in fields:
            raise ConfigError(f"{path}{key}: unknown key; expected one of {', '.join(fields)}")
    for name, field in fields.items():
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        is_due = complete and not field.metadata.get("absent_in_older_files")
        if name not in table and (is_due or not has_default):
            raise ConfigError(f"{path}{name}: missing; expected {_type_name(hints[name])}")
    values = {
        key: _parse_value(hints[key], value, complete, f"{path}{key}")
        for key, value in table.items()
    }
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}{error}") from error


def to_dict(section: object) -> dict[str, Any]:
    """Turn a dataclass into plain tables, lists and scalars; `parse_section` reads it back."""
    return {
        field.name: _plain(getattr(section, field.name))
        for field in dataclasses.fields(section)  # type: ignore[arg-type]  # a dataclass instance
    }


def _expect(holds: bool, name: str, expected: object, came: object) -> None:
    if not holds:
        raise ConfigError(f"{name}: expected {expected}, got {came!r}")


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _parse_value(hint: object, value: object, complete: bool, path: str) -> object:
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return parse_section(typing.cast(type, hint), value, complete=complete, path=f"{path}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _parse_optional(arguments, value, complete, path)
    if origin is tuple and isinstance(value, list | tuple):
        return _parse_tuple(arguments, value, complete, path)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and origin is None and type(value) is hint:
        return value
    raise ConfigError(f"{path}: expected {_type_name(hint)}, got {value!r}")


def _parse_optional(
    arguments: tuple[object, ...], value: object, complete: bool, path: str
) -> object:
    """Read `X | None`, the only union that a configuration may hold."""
    if value is None and type(None) in arguments:
        return None
    (hint,) = (argument for argument in arguments if argument is not type(None))
    return _parse_value(hint, value, complete, path)


def _parse_tuple(
    arguments: tuple[object, ...], value: Sequence[object], complete: bool, path: str
) -> object:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        hints = [arguments[0]] * len(value)
    else:
        hints = list(arguments)
    if len(hints) != len(value):
        raise ConfigError(f"{path}: expected {len(hints)} values, got {value!r}")
    return tuple(
        _parse_value(hint, item, complete, f"{path}[{index}]")
        for index, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _type_name(hint: object) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
