"""Servers and clusters as processes of the tests, which end with them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[3]
ENGINES = Path(os.environ.get("STOOK_ENGINES", ROOT / "build" / "engines"))  # what make test-engines fetches
PATIENCE_S = 90.0
HARNESS = "import SdkHarness"  # in the command of a worker that a pool started


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(
    words: Sequence[str], log: Path, port: int | None = None, more: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process and all its children until the block ends; begins once it listens on ``port``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # pools start a bare 'python'
    with log.open("ab") as told:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | {"PATH": path} | dict(more or {}),
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    try:
        if port is not None:
            wait_for(process, port, log)
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and whatever it started."""
    for each in [*family(process.pid), process.pid]:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def family(pid: int, having: str = "") -> list[int]:
    """Numbers of the processes below one, of those whose command holds some words."""
    try:
        children = psutil.Process(pid).children(recursive=True)
        return [child.pid for child in children if having in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until somebody listens on a port."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}: {log.read_text()[-2000:]}")


@contextmanager
def worker_pool(folder: Path) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Beam's pool of external workers; gives its port."""
    port = free_port()
    words = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", str(port)]
    with running(words, folder / "pool.log", port) as process:
        yield port, process


@contextmanager
def job_service(folder: Path, slots: int) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A job service with so many slots; gives its port."""
    port = free_port()
    module = "tests.pipelines.engines.job_service"
    words = [sys.executable, "-m", module, str(port), str(slots), str(folder / "staging")]
    with running(words, folder / "jobs.log", port) as process:
        yield port, process
