"""The summary of a run, written into the edition that it works on, however the run ends."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from stook.models.errors import CancelledError, InputError, UnreachableError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.tally import Tally, TileFaultError
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
        mapped: What it did of the products of models.
        derived: The same of products that are made from maps.
        started: UTC, ISO 8601.
        written: Whether its summary is in the edition.
    """

    edition: Edition
    config: MapConfiguration
    signals: Signals
    mapped: Tally = field(default_factory=Tally)
    derived: Tally = field(default_factory=Tally)
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
                    self.write(outcome_of(end), isinstance(end, TileFaultError))
            raise

    def write(self, outcome: str, summed: bool = False) -> RunSummary:
        """Add the summary to the edition, which must not be published yet.

        Args:
            outcome: See ``RunSummary``.
            summed: Whether a fault came after all tiles were added up.
        """
        summary = self.summary(outcome, summed)
        self.edition.add_run(summary)
        self.written = True
        return summary

    def summary(self, outcome: str, summed: bool = False) -> RunSummary:
        """What the run came to; see ``write``."""
        mapped, derived, run = self.mapped.worked, self.derived.worked, self.config.run
        summed = summed or outcome not in ("stopped", "fault")
        both = mapped + derived
        return RunSummary(
            run=self.signals.run,
            host=socket.gethostname(),
            started=self.started,
            ended=now(),
            outcome=outcome,
            mode=run.mode,
            workers=1 if run.mode == "memory" else run.workers,
            devices=tuple(sorted(both.devices)),
            tiles=len(self.edition.manifest["tiles"]),
            computed=mapped.computed if summed else None,
            carried=mapped.carried if summed else None,
            derived=derived.computed if summed else None,
            failed=mapped.failed if summed else None,
            seconds={step: round(seconds, 3) for step, seconds in both.seconds.items()} if summed else {},
            amounts=dict(both.amounts) if summed else {},
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
