"""The summary of a run, written into the edition that it works on, however the run ends."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from stook.models.errors import CancelledError, InputError, UnreachableError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.tally import Tally
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import now
from stook.transforms.editions.run_summary import RunSummary
from stook.transforms.editions.signals import Signals
from stook.transforms.store import CLOUD_FAILURES, STORE_FAILURES

OUTPUT = "output: "  # how an UnreachableError of the output begins, see ``stook.transforms.store.writing``


@dataclass
class Journal:
    """What a run does to an edition.

    Attributes:
        edition: The edition.
        config: The configuration.
        signals: Of the run.
        started: UTC, ISO 8601.
        written: Whether its summary is in the edition.
    """

    edition: Edition
    config: MapConfiguration
    signals: Signals
    started: str = field(default_factory=now)
    written: bool = False

    @contextmanager
    def kept(self) -> Iterator["Journal"]:
        """Write the summary also where the block does not come to its end; where it does, it has written its own."""
        try:
            yield self
        except BaseException as end:
            if str(end).startswith(OUTPUT):
                raise  # the last block of a full disk is for the lease, which must be given back
            with suppress(*STORE_FAILURES):  # what ended the run is told, not that this could not be written
                # Where another run has taken over, it fills the edition now, or has published it.
                if not self.written and not self.signals.superseded():
                    self.write(outcome_of(end))
            raise

    def tally(self) -> Tally:
        """What it did until now, by the ledger."""
        return Tally.of(self.signals.run, self.edition.plan, self.edition.ledger.records())

    def write(self, outcome: str) -> RunSummary:
        """Add the summary to the edition, which must not be published yet; ``outcome`` is that of ``RunSummary``."""
        summary = self.summary(outcome)
        self.edition.add_run(summary)
        self.written = True
        return summary

    def summary(self, outcome: str) -> RunSummary:
        """What the run came to; see ``write``."""
        tally, run = self.tally(), self.config.run
        return RunSummary(
            run=self.signals.run,
            host=socket.gethostname(),
            started=self.started,
            ended=now(),
            outcome=outcome,
            mode=run.mode,
            workers=1 if run.mode == "memory" else run.workers,
            devices=tuple(sorted(tally.devices)),
            tiles=len(self.edition.manifest["tiles"]),
            computed=tally.computed,
            carried=tally.carried,
            derived=tally.derived,
            failed=tally.failed,
            seconds={step: round(seconds, 3) for step, seconds in tally.seconds.items()},
            amounts=dict(tally.amounts),
        )


def outcome_of(end: BaseException) -> str:
    """What ends a run, see ``RunSummary``."""
    kinds: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
        (CancelledError, "cancelled"),
        (UnreachableError, "unreachable"),
        (CLOUD_FAILURES, "unreachable"),
        (InputError, "refused"),
        (KeyboardInterrupt, "stopped"),
    )
    return next((outcome for kind, outcome in kinds if isinstance(end, kind)), "fault")
