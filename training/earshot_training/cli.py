"""`earshot-train`: the list of commands, and errors as one line."""

import argparse
import sys
from collections.abc import Sequence

from earshot_training.commands import (
    calibrate,
    card,
    compare,
    data,
    evaluate,
    export,
    finetune,
    import_beats,
    import_model,
    iterate,
    pretrain,
    probe,
    report,
    tokenize,
    train_tokenizer,
)
from earshot_training.config import ConfigError
from earshot_training.errors import UserError
from earshot_training.processes import leave_processes

USER_ERROR_STATUS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 a check failed, 2 a user's error)."""
    options = create_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (UserError, ConfigError, OSError) as error:
        print(f"earshot-train: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR_STATUS
    finally:
        leave_processes()
    return status


def create_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = argparse.ArgumentParser(
        prog="earshot-train", description="Train, score and export Earshot's models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listed = (
        data,
        pretrain,
        train_tokenizer,
        tokenize,
        iterate,
        report,
        finetune,
        compare,
        probe,
        evaluate,
        calibrate,
        export,
        card,
        import_beats,
        import_model,
    )
    for command in listed:
        command.add_parser(commands)
    return parser
