"""What a run came to, as the edition that it worked on keeps it."""

from dataclasses import dataclass, field

from pydantic import TypeAdapter


@dataclass(frozen=True)
class RunSummary:
    """One run that worked on an edition.

    Attributes:
        run: Identifies it, see ``Lease.run``.
        host: Machine that drove it.
        started: UTC, ISO 8601.
        ended: The same.
        outcome: ``complete``, ``not_published`` (too much failed), ``unreachable`` (an archive or the output did not
            answer), ``cancelled``, ``stopped`` (Ctrl-C or SIGTERM), ``refused`` (the input is wrong) or ``fault`` (of
            ours). A run that was killed, or whose disk was full, leaves no summary.
        mode: See ``run.mode`` of the configuration.
        workers: Tiles in flight at most.
        devices: Where encoders ran.
        tiles: Of the edition.
        computed: Tiles of which it made something, or failed to; None, as all that follows is empty, of a run by an
            older version that was stopped before that was added up.
        carried: Tiles of which it took everything over from the edition before.
        derived: Tiles of which it made maps from finished ones.
        failed: Tiles of which it failed to make something.
        seconds: By step, summed over tiles, of which several may be in flight.
        amounts: See ``stook.transforms.amounts.Amounts``; summed over tiles.
    """

    run: str
    host: str
    started: str
    ended: str
    outcome: str
    mode: str
    workers: int
    devices: tuple[str, ...]
    tiles: int
    computed: int | None = None
    carried: int | None = None
    derived: int | None = None
    failed: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)


RUN_SUMMARY = TypeAdapter(RunSummary)
