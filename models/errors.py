"""The failures Stook tells apart, each with the exit status that the command ends with."""


class StookError(Exception):
    """A failure with a one-line message for the person at the terminal.

    The message names, where they exist, the file, the field, the value and what is allowed.
    """

    exit_status = 1


class InputError(StookError):
    """The user's configuration or input is wrong; nothing was run."""

    exit_status = 2


class TileError(StookError):
    """The inputs of one tile cannot be used (missing asset, corrupt file); the tile fails alone."""

    exit_status = 3


class CancelledError(StookError):
    """Somebody asked the run to stop; everything that is done is kept."""

    exit_status = 130


class UnreachableError(StookError):
    """An archive or a store did not answer after retries; nothing was decided and everything is kept."""

    exit_status = 4
