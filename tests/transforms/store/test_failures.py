"""Whatever a store's libraries raise is told as a store that cannot be written, and a fault of ours is not."""

import http.client
from pathlib import Path

import aiohttp
import pytest
import requests
import urllib3
from gcsfs.retry import ChecksumError, HttpError
from google.api_core.exceptions import RetryError, ServiceUnavailable
from google.auth.exceptions import RefreshError
from google.cloud.storage.exceptions import DataCorruption

from stook.models.errors import UnreachableError
from stook.transforms.store import reason_of, writing

RAISED = [
    OSError(28, "No space left on device"),
    TimeoutError(),
    requests.ConnectionError("Connection aborted."),
    ServiceUnavailable("503 backend"),  # type: ignore[no-untyped-call]
    RetryError("Timeout of 300.0s exceeded", cause=None),  # type: ignore[no-untyped-call]
    RefreshError("token has expired"),  # type: ignore[no-untyped-call]
    DataCorruption(None, "checksum mismatch"),
    HttpError({"code": 429, "message": "slow down"}),
    ChecksumError("md5"),
    aiohttp.ServerDisconnectedError(),
    http.client.IncompleteRead(b""),
    urllib3.exceptions.ProtocolError("Connection broken"),
]


@pytest.mark.parametrize("failure", RAISED, ids=lambda failure: type(failure).__name__)
def test_a_failure_of_the_store_is_unreachable_and_says_why_in_a_line(failure: Exception, tmp_path: Path) -> None:
    expected = "output: cannot write .*: .+; progress is saved"
    with pytest.raises(UnreachableError, match=expected) as told, writing(tmp_path):
        raise failure
    assert "\n" not in str(told.value) and reason_of(failure) in str(told.value)


def test_a_fault_of_ours_is_not_blamed_on_the_store(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError("product")
