"""The error that a user can mend: the command line prints it in one line, without a traceback."""


class UserError(ValueError):
    """Something outside the program is wrong: a file, an option, a config; tells what."""
