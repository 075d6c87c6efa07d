"""The failures Stook tells apart, each with the exit status that the command ends with; none tells a secret."""

import re

HIDDEN = "…"
QUERY = re.compile(r"""\?[^\s"'<>)\]=]*=[^\s"'<>)\]]*""")
USER = re.compile(r"(\w[\w+.-]*://)[^/\s@]+@")
NAMED = re.compile(
    r"""(?ix)\b(sig|signature|token|access_token|api_?key|password|secret|sharedaccesssignature|awsaccesskeyid
    |(?:x-amz|x-goog)-[\w-]+|ocp-apim-subscription-key|authorization)(["']?\s*[=:]\s*["']?)
    (?:(?:bearer|basic)\s+)?[^\s&"'<>)\],;]+"""
)
BEARER = re.compile(r"(?i)\b(bearer)\s+[\w.~+/-]{8,}=*")


class StookError(Exception):
    """A failure with a one-line message for the person at the terminal.

    The message names, where they exist, the file, the field, the value and what is allowed. Whatever in it looks like
    a token or a password is left out, also where a library's words are part of it.
    """

    exit_status = 1

    def __init__(self, message: object = ""):
        super().__init__(without_secrets(str(message)))


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


def without_secrets(text: str) -> str:
    """``text`` without what may be a secret: queries of links, user names in links, tokens, passwords and keys."""
    text = QUERY.sub(f"?{HIDDEN}", text)
    text = USER.sub(rf"\1{HIDDEN}@", text)
    text = NAMED.sub(rf"\1\2{HIDDEN}", text)
    return BEARER.sub(rf"\1 {HIDDEN}", text)
