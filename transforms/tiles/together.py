"""Which products of a tile are made from one reading of imagery."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from stook.transforms.editions.plan import ProductPlan
from stook.transforms.encoding.encodings import PictureEncoding


def read_together(products: Iterable[ProductPlan]) -> Iterator[list[ProductPlan]]:
    """Groups of products that read the same, those of composites first."""

    def reading(product: ProductPlan) -> tuple[object, ...]:
        encoding = product.encoding
        if isinstance(encoding, PictureEncoding):
            return 1, encoding.encoder, encoding.precision, encoding.chip_px, encoding.cell_px, encoding.periods
        return 0, encoding.periods, encoding.resampling

    for _, members in groupby(sorted(products, key=reading), key=reading):
        yield list(members)
