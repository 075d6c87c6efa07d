"""Products of pictures of metre resolution: date by date, and of the dates of a cell what the plan says."""

from collections.abc import Iterator

import numpy as np

from stook.transforms.editions.plan import ProductPlan
from stook.transforms.encoding.encode import Features, encoding_with
from stook.transforms.encoding.encodings import PictureEncoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.cells import cells_any
from stook.transforms.imagery.pictures import PictureSettings, cell_pictures
from stook.transforms.stopwatch import Stopwatch
from stook.transforms.tiles.answers import Answer, Result, shares_of
from stook.transforms.tiles.materials import Materials
from stook.transforms.values import NODATA

MOST_DATES = 254  # that a layer of counts can hold


def picture_results(
    materials: Materials, ground: TileCoverage, encoding: PictureEncoding, products: list[ProductPlan], watch: Stopwatch
) -> Iterator[Result]:
    """The results of products that look at the same chips; cells of which no date shows all are without imagery.

    Args:
        materials: Of the edition.
        ground: The tile.
        encoding: How pictures are encoded.
        products: With this encoding.
        watch: Takes the time.

    Raises:
        TileError: If an asset is missing or corrupt, or a model answers with something that is not a number.
        UnreachableError: If an archive does not answer.
    """
    tile, plan, embedder = ground.tile, materials.plan, materials.embedder(encoding)
    wanted = cells_any(ground.owned, encoding.cell_px)
    answers = [Answer(product, materials.bundles[product.product], len(wanted)) for product in products]
    dates = np.zeros(wanted.shape, np.int32)
    pictures = cell_pictures(
        materials.near(tile, encoding.halo_px).get("rgb", ()),
        plan.sources["rgb"],
        plan.cells(products[0]),
        tile,
        wanted,
        PictureSettings(encoding.bands, encoding.chip_px, encoding.resolution_m, encoding.periods[0]),
        materials.machine.backoff,
        watch.amounts,
    )
    for part in watch.each("read", pictures):
        rows = np.full(len(part.columns), part.row)
        with encoding_with(embedder, watch):
            vectors = embedder(part.chips.__getitem__, len(rows))
            features = Features(rows, part.columns, vectors[:, :, 0, 0])
            for answer in answers:
                _combine(answer, features)
        dates[rows, part.columns] += 1
    for answer in answers:
        if answer.product.combination == "mean":
            answer.shares /= np.maximum(dates, 1)
        clear = np.where(dates > 0, np.minimum(dates, MOST_DATES), NODATA).astype(np.uint8)
        yield answer.result(clear, embedder.batch)


def _combine(answer: Answer, part: Features) -> None:
    """Take a date into what was said of earlier ones."""
    place = np.s_[:, part.rows, part.columns]
    before, now = answer.shares[place], shares_of(answer.bundle, part)
    if answer.product.combination == "maximum":
        answer.shares[place] = np.fmax(before, now)
    else:
        answer.shares[place] = np.nan_to_num(before) + now
