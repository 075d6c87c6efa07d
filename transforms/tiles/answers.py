"""What heads say of a tile: collected part by part, kept as images and as sums."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stook.models.bundle import Bundle
from stook.models.errors import TileError
from stook.transforms.editions.ledger import Covered
from stook.transforms.editions.plan import ProductPlan
from stook.transforms.encoding.encode import Features
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.values import NO_IMAGERY, NODATA, TOO_FEW_OBSERVATIONS, WIDE_NODATA

WHOLE = 10_000  # a share of one, in hundredths of a percent


@dataclass(frozen=True)
class Result:
    """What a product is in a tile.

    Attributes:
        product: As planned.
        images: Of its last layers, [cell row, cell column], of quantiles [quantile, cell row, cell column].
        classes: Values to count areas over, uint8 [cell row, cell column]: percent (of quantiles the median), or why
            there is none.
        shares: Mean and interval width of the covered share as the layers hold them, float64 [2, cell row, cell
            column], NaN where there is none; None for the probability of a class.
        batch: Chips that the encoder saw at once; None where vectors came from a store.
    """

    product: ProductPlan
    images: tuple[np.ndarray, ...]
    classes: np.ndarray
    shares: np.ndarray | None = None
    batch: int | None = None

    def covered(self, ground: TileCoverage) -> dict[str, Covered]:
        """Unit -> sums of shares; empty for the probability of a class."""
        return {} if self.shares is None else covered_of(ground, self.shares)


class Answer:
    """What one product says of the cells of a tile, while their vectors come in.

    Args:
        product: As planned.
        bundle: Its model.
        side: Of the tile, in cells.

    Attributes:
        shares: float32 [layer, cell row, cell column], 0…1; NaN where nothing is said. One layer for a class; else the
            quantiles, and last the mean.
    """

    def __init__(self, product: ProductPlan, bundle: Bundle, side: int):
        self.product = product
        self.bundle = bundle
        layers = len(product.quantiles) + 1 if product.quantiles else 1
        self.shares = np.full((layers, side, side), np.nan, np.float32)

    def add(self, part: Features) -> None:
        """Take in some cells, wanted or not: products that share an encoder may want different ones.

        The head sees whole parts, so that equal parts give equal bytes, whatever else is wanted of them.

        Raises:
            TileError: If the head answers with something that is not a number.
        """
        self.shares[:, part.rows, part.columns] = shares_of(self.bundle, part)

    def result(self, clear: np.ndarray, batch: int | None = None) -> Result:
        """The product, where cells have observations enough.

        Args:
            clear: Clear observations uint8 [cell row, cell column], 255 where there is no imagery.
            batch: See ``Result``.
        """
        shares = np.where(enough(self.product, clear), self.shares, np.nan)
        if not self.product.quantiles:
            percent = percent_of(shares[0])
            return Result(self.product, (percent, clear), class_image(percent, clear), batch=batch)
        quantiles, mean = shares[:-1], shares[-1]
        percent = percent_of(quantiles)
        classes = class_image(percent[len(percent) // 2], clear)
        summed = hundredths_of(mean), hundredths_of(quantiles[-1] - quantiles[0])
        # Sums are of what is published, rounding and all, so that anyone can make them again from the maps.
        return Result(self.product, (percent, *summed, clear), classes, shares_in(summed), batch)


def enough(product: ProductPlan, clear: np.ndarray) -> np.ndarray:
    """Which cells have imagery and as many clear observations as a product asks for: bool [cell row, cell column]."""
    return (clear != NODATA) & (clear >= product.minimum_observations)


def shares_of(bundle: Bundle, part: Features) -> np.ndarray:
    """What the bundle says, float32 [layer, cell], 0…1; see ``Answer``.

    Raises:
        TileError: If the head answers with something that is not a number.
    """
    shares = bundle.task.shares(part.vectors).numpy()
    unknown = ~np.isfinite(shares).all(axis=0)
    if unknown.any():
        raise TileError(f"{bundle.provenance.encoder}: no number for {unknown.sum()} cells")
    return shares


def percent_of(shares: np.ndarray) -> np.ndarray:
    """Shares 0…1 as uint8 percent of the same shape, 255 for NaN."""
    known = np.isfinite(shares)
    return np.where(known, np.rint(100 * np.where(known, shares, 0)), NODATA).astype(np.uint8)


def hundredths_of(shares: np.ndarray) -> np.ndarray:
    """Shares 0…1 as uint16 hundredths of a percent of the same shape, 65535 for NaN."""
    known = np.isfinite(shares)
    return np.where(known, np.rint(WHOLE * np.where(known, shares, 0)), WIDE_NODATA).astype(np.uint16)


def shares_in(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Layers of hundredths of a percent [y, x] as shares, float64 [layer, y, x], NaN where there is none."""
    stored = np.stack(layers)
    return np.where(stored == WIDE_NODATA, np.nan, stored / WHOLE)


def covered_of(ground: TileCoverage, shares: np.ndarray) -> dict[str, Covered]:
    """What a tile's shares add up to: unit -> sums.

    Args:
        ground: Of the tile.
        shares: Mean and interval width, float [2, cell row, cell column]; NaN counts as nothing.
    """
    means, widths = (ground.covered(share) for share in shares)
    return {unit: Covered(mean, widths[unit]) for unit, mean in means.items()}


def class_image(percent: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Percent, or why there is none, from two of the published layers, uint8 [y, x]."""
    unmapped = np.where(clear == NODATA, NO_IMAGERY, TOO_FEW_OBSERVATIONS)
    return np.where(percent == NODATA, unmapped, percent).astype(np.uint8)
