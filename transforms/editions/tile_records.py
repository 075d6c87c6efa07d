"""What the ledger keeps of a product of a tile: done with its areas and cells, or failed with all of its ground."""

import traceback
from collections.abc import Mapping

import numpy as np

from stook.models.errors import InputError, TileError, without_secrets
from stook.transforms.editions.ledger import Covered, ProductRecord
from stook.transforms.editions.plan import DerivedPlan, ProductPlan
from stook.transforms.editions.products import counted
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.counts import cell_counts
from stook.transforms.values import FAILED


def done_record(
    product: ProductPlan | DerivedPlan,
    fingerprint: str,
    ground: TileCoverage,
    classes: np.ndarray,
    covered: Mapping[str, Covered] | None = None,
    batch: int | None = None,
) -> ProductRecord:
    """The record of a product that was made.

    Args:
        product: As planned.
        fingerprint: Of what it was made from.
        ground: Of the tile.
        classes: Values to count areas and cells over, uint8 [cell row, cell column].
        covered: See ``ProductRecord``.
        batch: See ``ProductRecord``.
    """
    return ProductRecord(
        fingerprint=fingerprint,
        status="done",
        areas=ground.areas_of(classes),
        covered=dict(covered or {}),
        cells=cell_counts(ground, classes) if counted(product.product) else {},
        batch=batch,
    )


def failed_record(
    product: ProductPlan | DerivedPlan, fingerprint: str, ground: TileCoverage, error: str
) -> ProductRecord:
    """The record of a product that was not made: all ground and all cells of the tile as failed."""
    side = ground.grid.tile_px // product.cell_px
    areas = {unit: {FAILED: area} for unit, area in ground.totals.items()}
    cells = cell_counts(ground, np.full((side, side), FAILED, np.uint8)) if counted(product.product) else {}
    return ProductRecord(fingerprint, "failed", areas, cells=cells, error=error)


def cause_of(failure: Exception) -> str:
    """Why a product was not made, in one line: the failure's own words, or where a fault of ours is."""
    if isinstance(failure, (TileError, InputError)):
        return str(failure)
    trace = "".join(traceback.format_exception(failure, limit=-3))
    return without_secrets(f"fault in Stook: {failure!r} | " + " | ".join(trace.split("\n")))
