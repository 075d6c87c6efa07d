"""A tile as it was when work on it began, so that work that has become stale writes over nothing that is newer."""

from dataclasses import dataclass, replace
from typing import Any

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import LEASE
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.ground.grid import Tile
from stook.transforms.store import ChangedError, Version, read_json


@dataclass(frozen=True)
class Claim:
    """What must still hold whenever something of a tile is written.

    Attributes:
        edition: An open edition.
        tile: The tile.
        run: That had the season, see ``Lease.run``; None where no run has.
        before: The record of the tile, None where there was none.
        version: Of that record.
    """

    edition: Edition
    tile: Tile
    run: str | None
    before: TileRecord | None
    version: Version

    @classmethod
    def on(cls, edition: Edition, tile: Tile) -> "Claim":
        """The tile as it is now."""
        return cls(edition, tile, run_at_work(edition), *edition.ledger.held(tile))

    def require(self) -> None:
        """Ask directly before maps are written: between the question and the writing nothing else may take its time.

        Raises:
            ChangedError: If another run has taken over the season, or another worker has recorded the tile.
        """
        if run_at_work(self.edition) != self.run or self.edition.ledger.held(self.tile)[1] != self.version:
            raise ChangedError(f"{self.edition.folder}: tile {self.tile.name} was taken over by somebody else")

    def commit(self, record: TileRecord) -> None:
        """Write the record of the tile, with the run of each product that is new; see ``Ledger.commit``."""
        before = {} if self.before is None else self.before.products
        products = {
            name: made if made is before.get(name) else replace(made, run=self.run or "")
            for name, made in record.products.items()
        }
        self.edition.ledger.commit(replace(record, products=products), self.version)


def run_at_work(edition: Edition) -> str | None:
    """The run that has the season of an edition."""
    lease: dict[str, Any] = read_json(edition.folder.parent / LEASE) or {}
    return lease.get("run")
