"""How a store that does not answer, or does not take a file, is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

from aiohttp import ClientError
from gcsfs.retry import ChecksumError, HttpError
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption
from requests import RequestException
from urllib3.exceptions import HTTPError as TransportError

from stook.models.errors import StookError, UnreachableError
from stook.transforms.store.addresses import Address

# What reading and writing in a bucket raises: Google's client, the one that Zarr uses, and what these two stand on
# where they pass it through.
CLOUD_FAILURES = (
    GoogleAPIError,
    GoogleAuthError,
    DataCorruption,
    HttpError,
    ChecksumError,
    ClientError,
    HTTPException,
    TransportError,
    RequestException,
)
STORE_FAILURES = (OSError, *CLOUD_FAILURES)  # and on a disk


class ChangedError(StookError):
    """Somebody else has changed a file since it was read; nothing was written."""


def reason_of(failure: BaseException) -> str:
    """What a failure of a store says, in one line."""
    text = (failure.strerror if isinstance(failure, OSError) else None) or str(failure) or type(failure).__name__
    return " ".join(text.split())[:300]


@contextmanager
def writing(folder: Address) -> Iterator[None]:
    """Tell a disk that is full, read-only or gone, or a bucket that does not answer, as what it is.

    Raises:
        UnreachableError: If the block meets a failure of the store; names ``folder`` and the reason.
    """
    try:
        yield
    except STORE_FAILURES as error:
        raise UnreachableError(f"output: cannot write {folder}: {reason_of(error)}; progress is saved") from error
