"""Hashes of everything that a product of a tile is computed from: work is skipped because they are equal."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import ProductRecord
from stook.transforms.editions.plan import EMBEDDING, DerivedPlan, Plan, ProductPlan, digest
from stook.transforms.encoding.encodings import Encoding, PictureEncoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.imagery.footprint import BoundingBox
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.tiles.derived import reach_px, tiles_within
from stook.transforms.tiles.materials import Materials

Records = Mapping[str, ProductRecord]
"""Products of a tile, by name."""

Made = tuple[tuple[str, str], ...]
"""Fingerprint and status of the maps of a tile that a derived product is made from, as far as they are recorded."""


def product_fingerprint(materials: Materials, ground: TileCoverage, product: ProductPlan) -> str:
    """Hash of everything that the cells of a product in a tile are computed from."""
    encoded = encoding_fingerprint(materials, ground, product.encoding)
    if product.product == EMBEDDING:
        return encoded
    answered = {"bundle": product.model_hash, "minimum_observations": product.minimum_observations}
    if isinstance(product.encoding, PictureEncoding):
        answered |= {"combination": product.combination}
    return digest(answered | {"encoding": encoded})


def encoding_fingerprint(materials: Materials, ground: TileCoverage, encoding: Encoding | PictureEncoding) -> str:
    """Hash of everything that the feature vectors of a tile are computed from.

    Scenes count that the encoding reads: a new picture leaves cropland as it is, and so does a scene of another season.
    """
    plan = materials.plan
    described = asdict(encoding) | {"periods": [str(period) for period in encoding.periods]}
    read: dict[str, Any] = {}
    if isinstance(encoding, Encoding):
        described |= {"absent_bands": sorted(materials.absent(encoding))}
        read = {"cloud_dilation_px": plan.cloud_dilation_px}
    sensors = [sensor for sensor in encoding.sensors if sensor in plan.sources]
    return digest(
        read
        | {
            "processing": plan.processing,
            "grid": asdict(plan.grid),
            "ground": digest(np.packbits(ground.owned).tobytes().hex()),
            "sources": {name: [plan.sources[name].collection, plan.sources[name].profile] for name in sensors},
            "scenes": scenes_read(materials.scenes, materials.bounds(ground.tile, encoding.halo_px), encoding, sensors),
            "encoding": described,
        }
    )


def derived_fingerprint(
    plan: Plan, product: DerivedPlan, tile: Tile, tiles: Container[str], inputs_in: Callable[[Tile], Made]
) -> str:
    """Hash of everything that a product of a tile is made from; a map that failed is another one once it is mended.

    Args:
        plan: Of the edition.
        product: As planned.
        tile: The tile.
        tiles: Names of the edition's tiles.
        inputs_in: What the ledger says of the product's inputs, in the tile and in those around it that are read.
    """
    around = (other for other in tiles_within(tile, reach_px(product), plan.grid.tile_px) if other.name in tiles)
    return digest(
        {
            "processing": plan.processing,
            "product": product.product,
            "rule": asdict(product.rule),
            "inputs": {each.name: inputs_in(each) for each in (tile, *around)},
        }
    )


def made_inputs(product: DerivedPlan, records: Records) -> Made:
    """What the records of a tile say of a derived product's inputs."""
    found = (records[name] for name in product.inputs if name in records)
    return tuple((record.fingerprint, record.status) for record in found)


def scenes_read(
    inputs: Inputs, bounds: BoundingBox, encoding: Encoding | PictureEncoding, sensors: Sequence[str]
) -> list[tuple[str, str, str, str]]:
    """What counts as the scenes that an encoding reads in a box: source, item, baseline, updated; sorted."""
    start, end = (min(period.start for period in encoding.periods), max(period.end for period in encoding.periods))
    return inputs.identity(bounds, sensors, start, end)


def same_scenes(edition: Edition, found: Inputs, absent: frozenset[str], bounds: BoundingBox) -> bool:
    """Whether the archives offer the very scenes that an edition was opened with, for everything that it reads.

    Args:
        edition: Its frozen inputs are asked.
        found: What a search gives now.
        absent: Bands that none of ``found`` has.
        bounds: The box of the search, degrees.
    """
    plan, frozen = edition.plan, Inputs.read(edition.inputs)
    encodings = {product.encoding for product in plan.products}
    read = [(each, [sensor for sensor in each.sensors if sensor in plan.sources]) for each in encodings]
    return sorted(absent) == edition.manifest["absent_bands"] and all(
        scenes_read(frozen, bounds, *each) == scenes_read(found, bounds, *each) for each in read
    )
