"""What heads say of a tile: collected strip by strip, kept as images and as sums."""

import numpy as np

from models.bundle import Bundle
from models.errors import TileError
from transforms.areas import TileCoverage
from transforms.encode import Features
from transforms.ledger import Covered
from transforms.plan import ProductPlan
from transforms.products import NO_IMAGERY, NODATA, TOO_FEW_OBSERVATIONS, mean_weights


class Answer:
    """What one product says of the cells of a tile, while their vectors come in.

    Args:
        product: As planned.
        bundle: Its model.
        clear: Clear observations uint8 [cell row, cell column], 255 where there is no imagery.

    Attributes:
        wanted: Cells with enough observations, bool [cell row, cell column].
    """

    def __init__(self, product: ProductPlan, bundle: Bundle, clear: np.ndarray):
        self.product = product
        self.bundle = bundle
        self.clear = clear
        self.wanted = enough(product, clear)
        self._percent = np.full((len(product.quantiles) or 1, *clear.shape), NODATA, np.uint8)
        self._mean, self._width = np.full((2, *(clear.shape if product.quantiles else (0, 0))), np.nan)

    def add(self, part: Features) -> None:
        """Take in some cells, wanted or not, for products that share an encoder may want different ones.

        Raises:
            TileError: If the head answers with something that is not a number.
        """
        own = self.wanted[part.rows, part.columns]
        place = part.rows[own], part.columns[own]
        # The head sees the whole strip: equal strips give equal bytes, whatever else is wanted of them.
        shares = shares_of(self.bundle, part)[:, own]
        self._percent[:, *place] = np.rint(100 * shares).astype(np.uint8)
        if self.product.quantiles:  # before they are rounded: most shares under roofs are below one percent
            self._mean[place] = mean_weights(self.product.quantiles) @ shares
            self._width[place] = shares[-1] - shares[0]

    @property
    def image(self) -> np.ndarray:
        """The map, uint8 percent [cell row, cell column]; of quantiles [quantile, cell row, cell column]."""
        return self._percent if self.product.quantiles else self._percent[0]

    @property
    def classes(self) -> np.ndarray:
        """Values to count areas over: percent (of quantiles the median), or why there is none."""
        return class_image(self._percent[len(self._percent) // 2], self.clear)

    def covered(self, ground: TileCoverage) -> dict[str, Covered]:
        """Unit -> sums of shares; empty for the probability of a class."""
        if not self.product.quantiles:
            return {}
        means, widths = ground.covered(self._mean), ground.covered(self._width)
        return {unit: Covered(mean, widths[unit]) for unit, mean in means.items()}


def enough(product: ProductPlan, clear: np.ndarray) -> np.ndarray:
    """Which cells have imagery and as many clear observations as a product asks for: bool [cell row, cell column]."""
    return (clear != NODATA) & (clear >= product.minimum_observations)


def shares_of(bundle: Bundle, part: Features) -> np.ndarray:
    """What the bundle says, float32 [layer, cell], 0…1.

    Raises:
        TileError: If the head answers with something that is not a number.
    """
    shares = bundle.task.shares(part.vectors).numpy()
    unknown = ~np.isfinite(shares).all(axis=0)
    if unknown.any():
        raise TileError(f"{bundle.provenance.encoder}: no number for {unknown.sum()} cells")
    return shares


def class_image(percent: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Percent, or why there is none, from the two published layers, uint8 [y, x]."""
    unmapped = np.where(clear == NODATA, NO_IMAGERY, TOO_FEW_OBSERVATIONS)
    return np.where(percent == NODATA, unmapped, percent).astype(np.uint8)
