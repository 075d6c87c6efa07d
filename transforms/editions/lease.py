"""The lease of a season: which run fills its editions. Renewed while it works; one that is not renewed is taken over.

Taking, renewing and giving back are compare-and-swap, so of two runs that start together one gets it, and a run that
was asleep for longer than its lease finds out that another one has it.
"""

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from stook.models.errors import InputError, UnreachableError
from stook.transforms.repeating import repeating
from stook.transforms.store import (
    STORE_FAILURES,
    Address,
    ChangedError,
    Version,
    read_json,
    read_versioned,
    remove,
    swap,
    writing,
)

LEASE = "lease.json"
LEASE_LASTS = timedelta(seconds=60)  # clocks of machines that share a season may differ by what is left of it
LEASE_RENEWED_EVERY_S = 15.0
BOOT_ID, NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")  # only Linux has them


@dataclass
class Lease:
    """A lease that this process holds.

    Attributes:
        path: Its file.
        content: What the file says.
        version: Stands for that content in the store.
        left: The job that the run before had given to an engine, where that run did not come to its end.
    """

    path: Address
    content: dict[str, Any]
    version: Version
    left: dict[str, Any] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def take(cls, folder: Address) -> "Lease":
        """Take the lease of a season.

        Raises:
            InputError: If another run holds it; says who and since when.
        """
        path = folder / LEASE
        found, version = read_versioned(path)
        earlier: dict[str, Any] = json.loads(found) if found is not None else {"ended": ""}
        if is_alive(earlier):
            raise InputError(f"{folder}: {told(earlier)}; wait for it, or stop it")
        since = now()
        mine = {
            "run": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "boot": boot_id(),
            "processes": process_numbers(),
            "pid": os.getpid(),
            "started": started(os.getpid()),
            "edition": None,
            "since": since,
            "renewed": since,
        }
        try:
            left = earlier.get("job") if "ended" not in earlier else None
            return cls(path, mine, swap(path, _bytes(mine), version), left)
        except ChangedError:
            held = read_json(path) or {}
            who = told(held) if held else "season just locked by another run"
            raise InputError(f"{folder}: {who}; wait for it, or stop it") from None

    @property
    def run(self) -> str:
        """Identifies the run, in every process of it."""
        return str(self.content["run"])

    def say(self, **told: Any) -> None:
        """Keep something in the lease that others want to know of the run; renews it.

        Raises:
            UnreachableError: If another run has taken it over, or the store does not answer.
        """
        with self._lock, writing(self.path.parent):
            content = self.content | told | {"renewed": now()}
            try:
                self.version = self._swapped(_bytes(content))
            except ChangedError:
                raise UnreachableError(
                    f"{self.path.parent}: this run was silent for longer than its lease lasts, and another one has "
                    "taken over; progress is saved"
                ) from None
            self.content = content

    def _swapped(self, content: bytes) -> Version:
        """Replace the lease; raises ChangedError if it is not this run's any more."""
        try:
            return swap(self.path, content, self.version)
        except ChangedError:
            found, version = read_versioned(self.path)
            if found is None or json.loads(found).get("run") != self.run:
                raise
        return swap(self.path, content, version)  # an earlier renewal had come through, and its answer had not

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew it while the block runs, and give it back."""
        try:
            with repeating(self._renew, LEASE_RENEWED_EVERY_S, "lease"):
                yield
        finally:
            self._give_back()

    def _renew(self) -> None:
        try:
            self.say()
        except (UnreachableError, *STORE_FAILURES):
            return  # tiles and publication find out by themselves, and stop the run

    def _give_back(self) -> None:
        with suppress(*STORE_FAILURES):  # what cannot be given back expires
            try:
                self.say(ended=now())
            except UnreachableError:
                if (read_json(self.path) or {}).get("run") == self.run:
                    remove(self.path)  # a full disk has no room for a last word


def holder(folder: Address) -> dict[str, Any] | None:
    """What the lease of a season says, if its holder may still be at work."""
    held: dict[str, Any] | None = read_json(folder / LEASE)
    return held if held is not None and is_alive(held) else None


def told(lease: dict[str, Any]) -> str:
    """Who holds a lease, as a message."""
    return f"season locked by pid {lease['pid']} on {lease['host']} since {lease['since']}"


def is_alive(lease: dict[str, Any]) -> bool:
    """Whether the run that wrote ``lease`` may still be at work."""
    if "ended" in lease:
        return False
    here = (socket.gethostname(), boot_id(), process_numbers())
    if (lease["host"], lease["boot"], lease.get("processes")) == here:  # else only its age tells
        starts = {lease.get("started", ""), started(lease["pid"])} - {""}
        return len(starts) < 2 and process_exists(lease["pid"])
    return datetime.fromisoformat(lease["renewed"]) + LEASE_LASTS > datetime.now(UTC)


def boot_id() -> str:
    """Identifies this machine since it was started; where the system does not say, ``started`` alone tells."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def process_numbers() -> str:
    """Identifies the namespace that numbers of processes belong to: containers of one machine have each their own."""
    try:
        return str(NAMESPACE.readlink())
    except OSError:
        return ""


def process_exists(pid: int) -> bool:
    """Whether a process of this machine has the number ``pid`` and is not dead, waiting for its parent to notice."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # it is another user's


def started(pid: int) -> str:
    """When a process of this machine was started, in seconds; empty where the system does not say.

    Numbers are used again, in a restarted container the very same one; number and start together are not. Linux keeps
    the time since boot, other systems the date: what is kept stays the same when the clock is set.
    """
    try:
        date = psutil.Process(pid).create_time()
    except psutil.Error:
        return ""
    return f"{date - psutil.boot_time() if psutil.LINUX else date:.2f}"


def now() -> str:
    """The time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
