"""Hashes of everything that a product of a tile is computed from: work is skipped because they are equal."""

from dataclasses import asdict
from typing import Any

import numpy as np

from transforms.editions.plan import EMBEDDING, ProductPlan, digest
from transforms.encoding.encodings import Encoding, PictureEncoding
from transforms.ground.areas import TileCoverage
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
            "scenes": materials.inputs.identity(
                materials.bounds(ground.tile, encoding.halo_px),
                sensors,
                min(period.start for period in encoding.periods),
                max(period.end for period in encoding.periods),
            ),
            "encoding": described,
        }
    )
