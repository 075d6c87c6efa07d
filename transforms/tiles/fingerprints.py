"""Hashes of everything that a product of a tile is computed from: work is skipped because they are equal."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from transforms.editions.edition import Edition
from transforms.editions.plan import EMBEDDING, ProductPlan, digest
from transforms.encoding.encodings import Encoding, PictureEncoding
from transforms.ground.areas import TileCoverage
from transforms.imagery.footprint import BoundingBox
from transforms.imagery.inputs import Inputs
from transforms.tiles.materials import Materials


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
            "scenes": scenes_read(materials.inputs, materials.bounds(ground.tile, encoding.halo_px), encoding, sensors),
            "encoding": described,
        }
    )


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
