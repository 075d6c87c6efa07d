"""What became of a tile, for processes that know nothing else of the work."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TileSummary:
    """What a tile sends through the pipeline.

    Attributes:
        tile: Its name.
        outcome: ``done``, ``failed``, ``carried``, ``unchanged``; without a record of it ``undecided``, ``fault``, or
            ``died`` with its worker.
        seconds: See ``TileRecord``.
        amounts: The same.
        device: The same; empty where nothing was made.
        reason: Why it is undecided, where that stops the run; which fault of ours it was; how its worker died.
    """

    tile: str
    outcome: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    amounts: Mapping[str, int] = field(default_factory=dict)
    device: str = ""
    reason: str = ""
