"""Products of composites: read once, encoded once per encoder, answered by every head."""

from collections.abc import Iterator

import numpy as np

from stook.models.errors import UnreachableError
from stook.transforms.editions.plan import EMBEDDING, ProductPlan
from stook.transforms.encoding.cutting import TileSeason
from stook.transforms.encoding.encode import TileView, encoding_with
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.stopwatch import Stopwatch
from stook.transforms.tiles.answers import Answer, Result, class_image, enough
from stook.transforms.tiles.claim import Claim
from stook.transforms.tiles.embeddings import EmbeddingStore
from stook.transforms.tiles.fingerprints import encoding_fingerprint
from stook.transforms.tiles.materials import Materials
from stook.transforms.tiles.view import encoded_view
from stook.transforms.values import NODATA

Planned = dict[Encoding, list[ProductPlan]]


def composite_results(
    materials: Materials, ground: TileCoverage, planned: Planned, claim: Claim, watch: Stopwatch
) -> Iterator[Result]:
    """The results of products that read the same periods in the same way.

    Args:
        materials: Of the edition.
        ground: The tile.
        planned: The products by how they are encoded.
        claim: On the tile; feature vectors are written on the way.
        watch: Takes the time.

    Raises:
        TileError: If an asset is missing or corrupt, or a model answers with something that is not a number.
        UnreachableError: If an archive does not answer, or stored vectors are removed while they are read.
        STORE_FAILURES: If the store does not answer.
        ChangedError: If the tile is no longer this worker's.
    """
    season = None
    for encoding, products in planned.items():
        view = _stored_view(materials, ground, encoding, watch)
        fresh = view is None
        if view is None:
            if season is None:
                season = _read(materials, ground.tile, list(planned), watch)
            # What goes into the store is rounded there.
            rounding = None if products[0].product == EMBEDDING else encoding
            embedder, absent = materials.embedder(encoding), materials.absent(encoding)
            view = encoded_view(season, embedder, encoding.layout, ground.owned, absent, rounding)
        if products[0].product == EMBEDDING:
            yield _stored(materials, claim, products[0], view, watch)
        else:
            answers = _answers(materials, products, view, watch)
            if not fresh:
                _require_stored(materials)
            # Only now is it known what the memory held.
            batch = materials.embedder(encoding).batch if fresh else None
            yield from (answer.result(view.clear, batch) for answer in answers)


def composite_settings(materials: Materials, encodings: list[Encoding]) -> CompositeSettings:
    """The composite that all of some encodings can be made from."""
    return CompositeSettings(
        bands=tuple(dict.fromkeys(band for encoding in encodings for band in encoding.bands)),
        periods=encodings[0].periods,
        cloud_dilation_px=materials.plan.cloud_dilation_px,
        absent_bands=frozenset.intersection(*(materials.absent(encoding) for encoding in encodings))
        | materials.absent_bands,
        resampling=encodings[0].resampling,
        readers=materials.machine.readers,
    )


def is_stored(materials: Materials, ground: TileCoverage, encoding: Encoding) -> bool:
    """Whether vectors that were made of the very same are stored."""
    store = materials.stored
    if store is None or encoding.storage is None or store.edition == materials.edition or not store.edition.exists:
        return False
    record = store.edition.ledger.read(ground.tile)
    return record is not None and record.settles(EMBEDDING, encoding_fingerprint(materials, ground, encoding))


def _read(materials: Materials, tile: Tile, encodings: list[Encoding], watch: Stopwatch) -> TileSeason:
    plan, settings = materials.plan, composite_settings(materials, encodings)
    halo_px = max(encoding.halo_px for encoding in encodings)
    with watch.step("read"):
        items, geobox = materials.near(tile, halo_px), plan.grid.geobox(tile, halo_px)
    season = composite(items, plan.sources, geobox, settings, materials.machine.backoff, watch)
    return TileSeason(plan.grid, tile, season, halo_px)


def _stored_view(materials: Materials, ground: TileCoverage, encoding: Encoding, watch: Stopwatch) -> TileView | None:
    """What was encoded before and stored, if it was made of the very same; else None."""
    if materials.stored is None or not is_stored(materials, ground, encoding):
        return None
    with watch.step("read"):
        return materials.stored.view(ground.tile)


def _require_stored(materials: Materials) -> None:
    """Raise UnreachableError if the vectors that were read are gone: a shard that is gone reads as no vectors."""
    store = materials.stored
    if store is not None and not store.edition.exists:
        raise UnreachableError(f"{store.edition.folder}: the feature vectors were removed while they were read")


def _answers(materials: Materials, products: list[ProductPlan], view: TileView, watch: Stopwatch) -> list[Answer]:
    """What the heads of one encoding say of its vectors."""
    answers = [Answer(product, materials.bundles[product.product], len(view.clear)) for product in products]
    with encoding_with(materials.embedder(products[0].encoding), watch):
        for part in view.features(np.logical_or.reduce([enough(product, view.clear) for product in products])):
            for answer in answers:
                answer.add(part)
    return answers


def _stored(materials: Materials, claim: Claim, product: ProductPlan, view: TileView, watch: Stopwatch) -> Result:
    """Feature vectors, written strip by strip; areas are of cells that have one, as 100 percent."""
    embedder = materials.embedder(product.encoding)
    with encoding_with(embedder, watch):
        store = EmbeddingStore(materials.edition, materials.plan, mode="r+")
        known = store.write(claim.tile, view.features(enough(product, view.clear)), claim.require)
    return Result(product, (view.clear,), class_image(np.where(known, 100, NODATA), view.clear), batch=embedder.batch)
