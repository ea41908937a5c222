"""Tables are read strictly: what is wrong is named with what was expected and what came."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from earshot_training.config import (
    ConfigError,
    EncoderConfig,
    FbankStatistics,
    parse_section,
    to_dict,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float
    name: str = "plain"


@dataclass(frozen=True, kw_only=True)
class Outer:
    folder: Path
    mode: Literal["a", "b"] = "a"
    inner: Inner = field(default_factory=lambda: Inner(rate=0.5))
    sizes: tuple[int, ...] = ()
    pair: tuple[int, str] = (1, "x")
    parts: tuple[Inner, ...] | None = None
    limit: int | None = None
    free: dict[str, Any] = field(default_factory=dict)
    on: bool = False


FULL = {
    "folder": "somewhere",
    "mode": "b",
    "inner": {"rate": 1, "name": "other"},
    "sizes": [1, 2],
    "pair": [2, "y"],
    "parts": [{"rate": 0.1, "name": "p"}],
    "limit": 7,
    "free": {"anything": [1]},
    "on": True,
}


def test_reads_what_to_dict_wrote() -> None:
    outer = parse_section(Outer, FULL)
    assert outer == Outer(
        folder=Path("somewhere"),
        mode="b",
        inner=Inner(rate=1.0, name="other"),
        sizes=(1, 2),
        pair=(2, "y"),
        parts=(Inner(rate=0.1, name="p"),),
        limit=7,
        free={"anything": [1]},
        on=True,
    )
    assert to_dict(outer) == FULL
    assert parse_section(Outer, to_dict(outer), complete=True) == outer
    encoder = EncoderConfig(layers=2)
    assert parse_section(EncoderConfig, to_dict(encoder), complete=True) == encoder


def test_defaults_fill_what_is_not_there() -> None:
    assert parse_section(FbankStatistics, {}) == FbankStatistics(mean=15.41663, std=6.55582)
    assert parse_section(Outer, {"folder": "x"}) == Outer(folder=Path("x"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour: unknown key; expected one of folder, mode, inner"),
        ({"inner": {"rate": 1.0, "x": 2}}, "inner.x: unknown key; expected one of rate, name"),
        ({"inner": {"name": "y"}}, "inner.rate: missing; expected float"),
        ({"inner": 3}, "inner: expected Inner, got 3"),
        ({"inner": {"rate": "fast"}}, "inner.rate: expected float, got 'fast'"),
        ({"inner": {"rate": True}}, "inner.rate: expected float, got True"),
        ({"mode": "c"}, "mode: expected one of 'a', 'b', got 'c'"),
        ({"sizes": [1, 2.5]}, r"sizes\[1\]: expected int, got 2.5"),
        ({"pair": [1]}, r"pair: expected 2 values, got \[1\]"),
        ({"parts": [{"rate": None}]}, r"parts\[0\].rate: expected float, got None"),
        ({"limit": 1.0}, "limit: expected int, got 1.0"),
        ({"limit": True}, "limit: expected int, got True"),
        ({"free": []}, "free: expected dict"),
        ({"on": 1}, "on: expected bool, got 1"),
        ({"folder": 5}, "folder: expected Path, got 5"),
    ],
)
def test_refuses(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_section(Outer, {**FULL, **change})


def test_refuses_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="folder: missing; expected Path"):
        parse_section(Outer, {})
    with pytest.raises(ConfigError, match=r"fbank\.std: missing; expected float"):
        parse_section(FbankStatistics, {"mean": 1.0}, complete=True, path="fbank.")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"heads": 5}, r"encoder.heads: expected a divisor of dim \(768\), got 5"),
        ({"layers": 0}, "encoder.layers: expected at least 1, got 0"),
        ({"conv_pos_groups": 0}, "encoder.conv_pos_groups: expected a divisor"),
        ({"patch_size": 15}, "encoder.patch_size: expected a divisor of 128, got 15"),
        ({"num_buckets": 30}, "encoder.num_buckets: expected a multiple of 4, got 30"),
        ({"max_distance": 80}, "encoder.max_distance: expected more than num_buckets / 4"),
        ({"dropout": 1.0}, r"encoder.dropout: expected a rate in \[0, 1\), got 1.0"),
    ],
)
def test_refuses_sizes_that_no_encoder_has(sizes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_section(EncoderConfig, sizes, path="encoder.")
