"""What an edition's ledger and lease say of it: what is done, failed and left, and who is at work."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import holder
from stook.transforms.editions.ledger import RemovedError
from stook.transforms.editions.run_summary import RunSummary
from stook.transforms.editions.season_folder import EditionKind, SeasonFolder


@dataclass(frozen=True)
class ProductState:
    """Tiles of one product.

    Attributes:
        done: With a map.
        failed: Without, and known why.
        left: Not decided yet.
    """

    done: int
    failed: int
    left: int


@dataclass(frozen=True)
class EditionState:
    """One edition.

    Attributes:
        edition: Its id.
        season: E.g. ``main-2023``.
        kind: What it holds, ``maps`` or ``embeddings``.
        status: ``open``, ``published`` or ``superseded``.
        opened: UTC, ISO 8601.
        predecessor: The edition that was published when it was opened, or None.
        provisional: Whether its season was not over.
        tiles: How many it has.
        products: By name.
        failed: Tile -> product -> cause.
        holder: What the lease of the run at work says, or None.
        last_run: What the last run that worked on it came to, or None; a run that was killed could not tell.
    """

    edition: str
    season: str
    kind: EditionKind
    status: str
    opened: str
    predecessor: str | None
    provisional: bool
    tiles: int
    products: dict[str, ProductState]
    failed: dict[str, dict[str, str]]
    holder: dict[str, Any] | None
    last_run: RunSummary | None

    @property
    def complete(self) -> bool:
        """Whether every tile of every product is decided."""
        return not any(product.left for product in self.products.values())


@dataclass(frozen=True)
class Opening:
    """A run at work that has not named an edition: it searches the archives, or opens one, or is about to name it.

    Attributes:
        season: E.g. ``main-2023``.
        kind: What its edition will hold.
        holder: What its lease says.
        edition: None; it is told where others are told by their id.
        status: ``opening``.
    """

    season: str
    kind: EditionKind
    holder: dict[str, Any]
    edition: None = None
    status: Literal["opening"] = "opening"


def states_in(folder: SeasonFolder) -> Iterator[EditionState | Opening]:
    """The state of every edition of a season, oldest first, but for those that somebody removes meanwhile.

    Last comes the run at work, if it is at work on none of these.
    """
    seen = False
    for edition in folder.editions():
        with suppress(RemovedError):
            state = state_of(folder, edition)
            seen = seen or state.holder is not None
            yield state
    held = holder(folder.folder)
    if held and not seen:
        yield Opening(folder.season, folder.kind, held)


def state_of(folder: SeasonFolder, edition: Edition) -> EditionState:
    """The state of an edition now; reads every record of its ledger, one at a time.

    Raises:
        RemovedError: If somebody removes it meanwhile.
    """
    manifest, plan = edition.manifest, edition.plan
    names = [product.product for product in plan.all_products]
    done, failed = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    causes: dict[str, dict[str, str]] = {}
    for record in edition.ledger.records():
        for name in names:
            made = record.products.get(name)
            if made is not None and made.status == "done":
                done[name] += 1
            elif made is not None:
                failed[name] += 1
                causes.setdefault(record.tile, {})[name] = made.error or ""
    tiles, held = len(manifest["tiles"]), holder(folder.folder)
    return EditionState(
        edition=edition.id,
        season=str(plan.season),
        kind=folder.kind,
        status=folder.status(edition),
        opened=manifest["opened"],
        predecessor=manifest["predecessor"],
        provisional=plan.provisional,
        tiles=tiles,
        products={name: ProductState(done[name], failed[name], tiles - done[name] - failed[name]) for name in names},
        failed=causes,
        holder=held if held and held.get("edition") == edition.id else None,
        last_run=runs[-1] if (runs := edition.runs) else None,  # read last: a manifest there vouches for the records
    )
