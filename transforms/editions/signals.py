"""What a run at work listens to: that its store or an archive gave up, that somebody asked it to stop, that it is over.

All of it lies in the season's folder, so it reaches every worker, on whatever machine.
"""

from contextlib import suppress
from dataclasses import dataclass

from stook.transforms.editions.lease import LEASE, now
from stook.transforms.store import STORE_FAILURES, Address, read_bytes, read_json, remove, write_json

CANCELLED, HALTED = "cancelled.json", "halted.json"


@dataclass(frozen=True)
class Signals:
    """The signals of one run.

    Attributes:
        season: Folder of the season.
        run: The run, see ``Lease.run``.
    """

    season: Address
    run: str

    def stopping(self) -> bool:
        """Whether no further tile should be begun."""
        return self.halted() is not None or asked_to_stop(self.season) or self.superseded()

    def superseded(self) -> bool:
        """Whether another run has taken over."""
        lease = read_json(self.season / LEASE)
        return lease is None or lease.get("run") != self.run

    def halted(self) -> str | None:
        """Why a worker of this run has stopped it, None if none has."""
        told = read_json(self.season / HALTED)
        return str(told["reason"]) if told is not None and told.get("run") == self.run else None

    def halt(self, reason: str) -> None:
        """Tell the other workers to stop, and why."""
        # Where even this cannot be written, the others meet the same full disk by themselves.
        with suppress(*STORE_FAILURES):
            write_json(self.season / HALTED, {"run": self.run, "reason": reason})


def ask_to_stop(season: Address) -> None:
    """Ask the run at work, whichever it is, to stop."""
    write_json(season / CANCELLED, {"asked": now()})


def asked_to_stop(season: Address) -> bool:
    """Whether the run at work was asked to stop."""
    return read_bytes(season / CANCELLED) is not None


def forget(season: Address) -> None:
    """Clear what was said to runs that are no more."""
    for name in (CANCELLED, HALTED):
        remove(season / name)
