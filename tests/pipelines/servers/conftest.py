"""An S3 stand-in (moto) and a STAC API (stac-fastapi-pgstac on PostgreSQL), each in a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[3]
SERVERS = Path(os.environ.get("STOOK_SERVERS", ROOT / "build" / "servers")) / "bin"
PATIENCE_S = 60.0


def absent() -> str | None:
    """Why the servers cannot be run here, or None."""
    if not (SERVERS / "moto_server").exists():
        return f"{SERVERS} has no servers; make test-servers installs them"
    return None if postgres_programs() else "PostgreSQL with PostGIS is not installed (Debian: postgresql postgis)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say so, where a server is absent."""
    reason = absent()
    for item in items:
        if "tests/pipelines/servers/" in item.nodeid:
            item.add_marker(pytest.mark.server)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def postgres_programs() -> Path | None:
    """Folder of initdb and postgres."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return Path(found).parent if found else folders[-1] if folders else None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Server:
    """A server that can be killed and started again at the same address.

    Attributes:
        words: Its command.
        url: Where it answers.
        environment: Added to that of the tests.
    """

    words: list[str]
    url: str
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.words, env=os.environ | self.environment, stdout=quiet, stderr=quiet, cwd=ROOT, start_new_session=True
        )
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                requests.get(self.url, timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.1)
        raise TimeoutError(f"{self.words[0]} does not answer")

    def kill(self) -> None:
        """End it as a machine that fails does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """A server until the block ends."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An S3 stand-in, and the environment in which GDAL finds it."""
    port = free_port()
    for name, value in {
        "AWS_S3_ENDPOINT": f"127.0.0.1:{port}",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    command = [str(SERVERS / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with running(Server(command, f"http://127.0.0.1:{port}")) as server:
        yield server


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A PostgreSQL with the tables of pgstac; the environment in which clients find it."""
    programs, home = postgres_programs(), Path("/tmp") / f"stook-postgres-{os.getpid()}"
    assert programs is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    port = free_port()
    environment = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": "postgres",
        "PGPASSWORD": "none",
        "PGDATABASE": "postgres",
    }
    data = str(home / "data")
    subprocess.run(
        [*as_user, str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust"],
        check=True,
        capture_output=True,
    )
    words = [*as_user, str(programs / "postgres"), "-D", data, "-p", str(port), "-k", str(home)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        try:
            for command in ("pgready", "migrate"):
                pypgstac(environment, command)
            yield environment
        finally:
            stop = [*as_user, str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, capture_output=True)
            shutil.rmtree(home, ignore_errors=True)


def pypgstac(environment: dict[str, str], *words: str) -> None:
    """Run pgstac's own command."""
    subprocess.run(
        [str(SERVERS / "pypgstac"), *words], check=True, capture_output=True, env=os.environ | environment, timeout=120
    )
