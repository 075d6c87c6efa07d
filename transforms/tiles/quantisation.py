"""How feature vectors are brought to eight bits: offset and spread of each number, from a sample of the region.

Some numbers of a vector hardly differ between places however large they are, and what tells places apart is small. One
scale for all of them would spend its steps on the constant ones.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from stook.models.errors import TileError
from stook.models.inference import Embedder
from stook.transforms.backoff import BackOff
from stook.transforms.editions.plan import Plan
from stook.transforms.encoding.cutting import TileSeason
from stook.transforms.encoding.encodings import Encoding, Quantisation
from stook.transforms.ground.geodesy import lonlat_bounds, to_zone
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.region import Region
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.labelled.features import training_grid
from stook.transforms.tiles.view import encoded_view
from stook.transforms.values import NODATA

PLACES = 16
VECTORS_PER_PLACE = 500
FEWEST_VECTORS = 100
READERS = 8


def fit_quantisation(
    plan: Plan,
    encoding: Encoding,
    region: Region,
    inputs: Inputs,
    absent: frozenset[str],
    embedder: Embedder,
    backoff: BackOff | None = None,
) -> Quantisation:
    """Mean and standard deviation of each number over cells around points of the region's units.

    With too few cells to tell, each number is taken as it is.
    """
    parts = list(_sample(plan, encoding, region, inputs, absent, embedder, backoff))
    vectors = torch.cat(parts) if parts else torch.zeros((0, encoding.width))
    if len(vectors) < FEWEST_VECTORS:
        return Quantisation((0.0,) * encoding.width, (1.0,) * encoding.width)
    spread = vectors.std(dim=0)
    spread = torch.where(spread > 0, spread, 1.0)
    return Quantisation(tuple(vectors.mean(dim=0).tolist()), tuple(spread.tolist()))


def _sample(
    plan: Plan,
    encoding: Encoding,
    region: Region,
    inputs: Inputs,
    absent: frozenset[str],
    embedder: Embedder,
    backoff: BackOff | None,
) -> Iterator[Tensor]:
    """Vectors [cell, width] around up to ``PLACES`` units, evenly spaced in the region's order."""
    grid, layout = training_grid(encoding.layout.cell_px), encoding.layout
    settings = CompositeSettings(
        bands=encoding.bands,
        periods=encoding.periods,
        cloud_dilation_px=plan.cloud_dilation_px,
        absent_bands=absent,
        resampling=encoding.resampling,
        readers=READERS,
    )
    units, seen = region.units, set()
    for number in np.unique(np.linspace(0, len(units) - 1, PLACES).round().astype(int)):
        point = units[number].geometry.representative_point()
        zone = Zone.at(point.x, point.y)
        x, y = to_zone(zone).transform(point.x, point.y)
        tile = grid.tile_at(zone, x, y)
        if tile in seen:
            continue
        seen.add(tile)
        geobox = grid.geobox(tile, layout.halo_px)
        try:
            season = composite(inputs.near(lonlat_bounds(geobox)), plan.sources, geobox, settings, backoff)
        except TileError:
            continue  # the tile there will fail and say why; the others must not
        everywhere = np.ones((grid.tile_px, grid.tile_px), bool)
        view = encoded_view(TileSeason(grid, tile, season, layout.halo_px), embedder, layout, everywhere, absent)
        cells = np.flatnonzero(view.clear != NODATA)
        wanted = np.zeros(view.clear.shape, bool)
        if len(cells):
            wanted.flat[cells[np.linspace(0, len(cells) - 1, VECTORS_PER_PLACE).astype(int)]] = True
            yield from (part.vectors for part in view.features(wanted))
