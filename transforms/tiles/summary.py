"""What became of a tile, for processes that know nothing else of the work."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TileSummary:
    """What a worker says of a tile; all else is in the ledger.

    Attributes:
        tile: Its name.
        outcome: ``done``, ``failed``, ``carried``, ``unchanged``; without a record of it ``undecided``, ``fault``, or
            ``died`` with its worker.
        reason: Why it is undecided; which fault of ours it was; how its worker died.
    """

    tile: str
    outcome: str
    reason: str = ""
