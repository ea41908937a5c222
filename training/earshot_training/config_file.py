"""Config files: TOML read strictly into a dataclass."""

import tomllib
from pathlib import Path
from typing import TypeVar

from earshot_training.config import ConfigError, parse_section
from earshot_training.errors import UserError

Config = TypeVar("Config")


def load_config(cls: type[Config], path: Path) -> Config:
    """Read a TOML file into the dataclass `cls`; paths in it stay as written.

    Raises:
        UserError: unreadable, or not TOML.
        ConfigError: a key unknown, missing or of a wrong type.

    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: expected a TOML config, got: {error}") from error
    try:
        return parse_section(cls, table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
