"""What making the tiles of a season would take, from the catalogue and the ledgers, before anything is read.

The same questions are asked as in a run, in the same order and by the same functions where that is possible without
pixels: which products of a tile are due, which scenes its encodings read, which cells are its own. What only pixels
tell, clouds above all, is not known: encoders look at the forecast number of chips at most.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import pystac
import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry import shape

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.editions.plan import EMBEDDING, DerivedPlan, ProductPlan
from stook.transforms.encoding.chips import TileChips
from stook.transforms.encoding.encodings import Encoding, PictureEncoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.cells import cells_any
from stook.transforms.ground.geodesy import lonlat_bounds, to_lonlat
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.footprint import box_of, intersects
from stook.transforms.imagery.pictures import PictureSettings, chip_box
from stook.transforms.imagery.reading import passes, strips
from stook.transforms.imagery.sources import COMPOSITE_SENSORS, SCENE_CLASSIFICATION, SENSOR_BANDS
from stook.transforms.imagery.volume import Piece
from stook.transforms.tiles.fingerprints import product_fingerprint
from stook.transforms.tiles.from_composites import composite_settings, is_stored
from stook.transforms.tiles.materials import Materials
from stook.transforms.tiles.together import read_together

Fate = Literal["unchanged", "carried", "again", "new"]
FATES: tuple[Fate, ...] = ("new", "again", "carried", "unchanged")
Key = tuple[str, str]  # of an encoder in ``Materials.embedders``


@dataclass(frozen=True)
class Need:
    """What making the due products of a tile takes.

    Attributes:
        scenes: Ids of those that are opened.
        pieces: Files that are opened, in the order of a run.
        chips: Encoder -> chips that it looks at, at most.
    """

    scenes: frozenset[str]
    pieces: tuple[Piece, ...]
    chips: dict[Key, int]


@dataclass(frozen=True)
class TileForecast:
    """What a run would do with a tile.

    Attributes:
        tile: Which.
        fates: Product -> what would become of it.
        need: What making those that are due takes.
        ground_px: Pixels of the tile with ground of the region.
    """

    tile: Tile
    fates: dict[str, Fate]
    need: Need
    ground_px: int

    @property
    def due(self) -> bool:
        """Whether some product is to be computed."""
        return any(fate in ("new", "again") for fate in self.fates.values())


@dataclass(frozen=True)
class Forecaster:
    """Asks what a run would do with each tile.

    Attributes:
        materials: Of an edition that was opened like the run's, or of the one that it would continue.
        opened: The open edition that the run would continue, or None.
        predecessor: The edition that it would take results over from, or None.
    """

    materials: Materials
    opened: Edition | None = None
    predecessor: Edition | None = None

    def tile(self, tile: Tile) -> TileForecast:
        """The forecast of a tile."""
        plan = self.materials.plan
        ground = TileCoverage.of(self.materials.region, plan.grid, tile)
        before = self.opened.ledger.read(tile) if self.opened else None
        older = self.predecessor.ledger.read(tile) if self.predecessor else None
        fates: dict[str, Fate] = {}
        for product in plan.products:
            known = before is not None or older is not None
            wanted = product_fingerprint(self.materials, ground, product) if known else ""
            fates[product.product] = self._fate(product.product, wanted, before, older)
        due = [product for product in plan.products if fates[product.product] in ("new", "again")]
        needs = [need_of(self.materials, ground, group) for group in read_together(due)]
        chips: dict[Key, int] = {}
        for key, count in (item for need in needs for item in need.chips.items()):
            chips[key] = chips.get(key, 0) + count
        for derived in plan.derived:
            fates[derived.product] = self._derived_fate(derived, fates, before, older)
        scenes = frozenset[str]().union(*(need.scenes for need in needs))
        need = Need(scenes, tuple(piece for need in needs for piece in need.pieces), chips)
        return TileForecast(tile, fates, need, int(ground.owned.sum()))

    def _fate(self, product: str, wanted: str, before: TileRecord | None, older: TileRecord | None) -> Fate:
        """What would become of a product: vectors of other units are not carried, see ``Predecessor.carried``."""
        found = fate(product, wanted, before, older)
        return "again" if found == "carried" and product == EMBEDDING and not self._same_units else found

    @cached_property
    def _same_units(self) -> bool:
        predecessor = self.predecessor
        return predecessor is None or predecessor.plan.units_hash == self.materials.plan.units_hash

    def _derived_fate(
        self, derived: DerivedPlan, fates: dict[str, Fate], before: TileRecord | None, older: TileRecord | None
    ) -> Fate:
        """What would become of a product that is made from maps, as far as the tile's own maps decide it."""
        made: list[Fate] = [fates[name] for name in derived.inputs if fates[name] in ("again", "new")]
        done = [_is_done(record, derived.product) for record in (before, older)]
        if made:
            return "again" if any(done) else made[0]
        if done[0]:
            return "unchanged"
        same = self.predecessor is not None and derived in self.predecessor.plan.derived
        return "carried" if done[1] and same else "again" if done[1] else "new"


def fate(product: str, wanted: str, before: TileRecord | None, older: TileRecord | None) -> Fate:
    """What would become of a product of a tile.

    Args:
        product: Its name.
        wanted: Fingerprint of what it would be made from.
        before: What the open edition says of the tile.
        older: What the predecessor says of it.
    """
    if before is not None and before.settles(product, wanted):
        return "unchanged"
    if older is not None and older.settles(product, wanted):
        return "carried"
    return "again" if any(record is not None and product in record.products for record in (before, older)) else "new"


def _is_done(record: TileRecord | None, product: str) -> bool:
    made = record.products.get(product) if record else None
    return made is not None and made.status == "done"


def looked_at(tiles: list[Tile], most: int, seed: int = 1) -> list[Tile]:
    """All tiles, or ``most`` of them, each as likely as any other."""
    return tiles if len(tiles) <= most else random.Random(seed).sample(tiles, most)


def need_of(materials: Materials, ground: TileCoverage, group: list[ProductPlan]) -> Need:
    """What making products that read together takes."""
    if isinstance(group[0].encoding, PictureEncoding):
        return _picture_need(materials, ground, group[0].encoding)
    return _composite_need(materials, ground, group)


def _composite_need(materials: Materials, ground: TileCoverage, group: list[ProductPlan]) -> Need:
    by_encoding: dict[Encoding, list[ProductPlan]] = {}
    for product in group:
        by_encoding.setdefault(cast(Encoding, product.encoding), []).append(product)
    encodings = list(by_encoding)
    fresh = [encoding for encoding in encodings if not is_stored(materials, ground, encoding)]
    if not fresh:
        return Need(frozenset(), (), {})
    halo_px = max(encoding.halo_px for encoding in encodings)
    items, looks = materials.near(ground.tile, halo_px), 0
    pieces: list[Piece] = []
    for sensor in sorted(set(materials.plan.sources) & set(COMPOSITE_SENSORS)):
        read, count = _composite_pieces(materials, encodings, sensor, items.get(sensor, ()), ground.tile, halo_px)
        pieces += read
        looks += count if sensor == "sentinel2" or "sentinel2" not in materials.plan.sources else 0
    chips: dict[Key, int] = {}
    for encoding in fresh:
        # More clear observations than passes there cannot be.
        if looks and looks >= min(product.minimum_observations for product in by_encoding[encoding]):
            layout, key = encoding.layout, (encoding.encoder, encoding.precision)
            count = TileChips.of(layout, ground.grid, ground.tile).count(
                layout, cells_any(ground.owned, encoding.cell_px)
            )
            chips[key] = chips.get(key, 0) + count
    return Need(frozenset(piece.item.id for piece in pieces), tuple(pieces), chips)


def _composite_pieces(
    materials: Materials,
    encodings: list[Encoding],
    sensor: str,
    items: Iterable[pystac.Item],
    tile: Tile,
    halo_px: int,
) -> tuple[list[Piece], int]:
    """What ``stook.transforms.imagery.composite`` opens of a sensor, and how many passes these are."""
    settings, source = composite_settings(materials, encodings), materials.plan.sources[sensor]
    geobox = materials.plan.grid.geobox(tile, halo_px)
    bands = [band for band in settings.bands if band in SENSOR_BANDS[sensor] and band not in settings.absent_bands]
    pieces, looks, held = [], 0, list(items)
    for period in settings.periods:
        scenes = passes(held, sensor, period)
        looks += len(scenes)
        parts = [geobox[rows, :] for rows in strips(geobox, len(scenes))] if scenes else []
        margins = [part.pad(settings.cloud_dilation_px) for part in parts]
        for item in (item for each in scenes for item in each):
            there = source.assets_of(item)
            if sensor == "sentinel2" and SCENE_CLASSIFICATION in there:
                pieces += [Piece(source, item, SCENE_CLASSIFICATION, (part,)) for part in margins]
            read = [band for band in bands if band in there]
            pieces += [Piece(source, item, band, (part,), settings.resampling) for band in read for part in parts]
    return pieces, looks


def _picture_need(materials: Materials, ground: TileCoverage, encoding: PictureEncoding) -> Need:
    plan, tile = materials.plan, ground.tile
    source, wanted = plan.sources["rgb"], cells_any(ground.owned, encoding.cell_px)
    cells = Grid(plan.grid.resolution_m * encoding.cell_px, plan.grid.tile_px // encoding.cell_px)
    settings = PictureSettings(encoding.bands, encoding.chip_px, encoding.resolution_m, encoding.periods[0])
    items = materials.near(tile, encoding.halo_px).get("rgb", ())
    dates = passes(items, source.sensor, settings.period)
    numbers = tuple(source.archive.numbers[band] for band in encoding.bands)
    pieces, chips = [], 0
    for row in np.flatnonzero(wanted.any(axis=1)):
        boxes = [chip_box(cells, tile, int(row), int(column), settings) for column in np.flatnonzero(wanted[row])]
        bounds, grounds = [lonlat_bounds(box) for box in boxes], _grounds(boxes)
        for scenes in dates:
            pictured, whole = shapely.Polygon(), np.zeros(len(boxes), bool)
            for item in scenes:
                footprint = box_of({"bbox": item.bbox})
                near = np.array([footprint is None or intersects(footprint, corners) for corners in bounds])
                if near.any():  # it is opened, but of a chip that an earlier scene shows whole nothing is read
                    read = tuple(boxes[number] for number in np.flatnonzero(near & ~whole))
                    pieces.append(Piece(source, item, encoding.bands[0], read, numbers=numbers))
                pictured = pictured.union(shape(item.geometry)) if item.geometry else pictured
                whole = shapely.covers(pictured, grounds)
            chips += int(whole.sum())
    scenes_read = frozenset(piece.item.id for piece in pieces)
    return Need(scenes_read, tuple(pieces), {(encoding.encoder, encoding.precision): chips} if chips else {})


def _grounds(boxes: list[GeoBox]) -> np.ndarray:
    """The ground between the middles of the outermost pixels of chips, polygons in degrees: object [chip]."""
    height, width = boxes[0].shape
    outermost = [(0.5, 0.5), (width - 0.5, 0.5), (width - 0.5, height - 0.5), (0.5, height - 0.5)]
    corners = np.array([[box.transform * middle for middle in outermost] for box in boxes])  # [chip, corner, 2]
    lonlat = to_lonlat(str(boxes[0].crs)).transform(corners[..., 0], corners[..., 1])
    return np.asarray(shapely.polygons(np.stack(lonlat, axis=-1)))
