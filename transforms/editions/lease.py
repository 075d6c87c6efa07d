"""The lease of an edition: who fills it. Renewed while a run works; one that is not renewed is taken over."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.errors import InputError
from transforms.repeating import repeating
from transforms.store import read_json, write_json

LEASE = "lease.json"
LEASE_LASTS = timedelta(seconds=60)
LEASE_RENEWED_EVERY_S = 15.0


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds.

    Attributes:
        path: Its file.
        content: What the file says.
    """

    path: Path
    content: dict[str, Any]

    @classmethod
    def take(cls, folder: Path) -> "Lease":
        """Take the lease of an edition; the caller holds the season's lock.

        Raises:
            InputError: If another run holds it; says who and since when.
        """
        if held := holder(folder):
            raise InputError(f"{folder}: {told(held)}; wait for it, or stop it")
        mine = {"host": socket.gethostname(), "boot": boot_id(), "pid": os.getpid(), "started": started(os.getpid())}
        since = now()
        lease = cls(folder / LEASE, {**mine, "since": since, "renewed": since})
        write_json(lease.path, lease.content)
        return lease

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew it while the block runs, and give it back."""
        try:
            with repeating(self._renew, LEASE_RENEWED_EVERY_S, "lease"):
                yield
        finally:
            self.path.unlink(missing_ok=True)

    def _renew(self) -> None:
        with suppress(OSError):  # a full disk stops the run by its tiles
            write_json(self.path, self.content | {"renewed": now()})


def holder(folder: Path) -> dict[str, Any] | None:
    """What the lease of an edition says, if its holder may still be at work."""
    held: dict[str, Any] | None = read_json(folder / LEASE)
    return held if held is not None and is_alive(held) else None


def told(lease: dict[str, Any]) -> str:
    """Who holds a lease, in words."""
    return f"a run holds this edition since {lease['since']}: process {lease['pid']} on {lease['host']}"


def is_alive(lease: dict[str, Any]) -> bool:
    """Whether the run that wrote ``lease`` may still be at work."""
    if (lease["host"], lease["boot"]) == (socket.gethostname(), boot_id()):
        return process_exists(lease["pid"]) and lease.get("started", "") in ("", started(lease["pid"]))
    return datetime.fromisoformat(lease["renewed"]) + LEASE_LASTS > datetime.now(UTC)


def boot_id() -> str:
    """Identifies this machine since it was started; process numbers mean something only within it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def process_exists(pid: int) -> bool:
    """Whether a process of this machine has the number ``pid``."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def started(pid: int) -> str:
    """When a process of this machine was started, in ticks since boot; empty where the system does not say.

    Numbers are used again, in a restarted container the very same one; number and start together are not.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # field 22 of proc(5)
    except OSError:
        return ""


def now() -> str:
    """The time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
