"""The drawing of a landscape: valleys, blocks, parcels, trees, paths and settlements.

Parcels are strips within blocks, blocks are Voronoi cells of warped ground, and everything about a parcel is drawn from
a hash of (seed, block, row, column). Most parcels of smallholders have 0.1 to 0.5 ha, of the large farms 0.5 to 2 ha.
"""

from dataclasses import dataclass

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage
from scipy.spatial import cKDTree

from stook.transforms.simulation.coverage import Overlaps
from stook.transforms.simulation.ground import Cover, Ground, Parcels, Place
from stook.transforms.simulation.noise import fractal_noise, key_of, normal, uniform
from stook.transforms.simulation.settlements import RIM, RIVER_DISTANCE_M, Houses, Settlements, crowding


@dataclass(frozen=True)
class _Terrain:
    """Metres to the river, metres to any valley's bottom, and wetness, 0…1."""

    river_m: np.ndarray
    valley_m: np.ndarray
    wetness: np.ndarray


@dataclass(frozen=True)
class _Blocks:
    """Number of the block, metres to its edge, and a key of that edge, the same on both sides."""

    number: np.ndarray
    edge_m: np.ndarray
    edge: np.ndarray


@dataclass(frozen=True)
class _Strips:
    """Key of the parcel, metres to its edge, whether it is a large farm's, and the direction of its longer side."""

    parcel: np.ndarray
    edge_m: np.ndarray
    large: np.ndarray
    furrows: np.ndarray


@dataclass(frozen=True)
class _Farmland:
    """What is farmed, what lies in blocks of farms, how good the soil is, and how trees and shrubs are scattered."""

    farmed: np.ndarray
    around: np.ndarray
    fertile: np.ndarray
    trees: np.ndarray
    shrubs: np.ndarray

    @property
    def fallow(self) -> np.ndarray:
        """Land of farms that is not farmed this year."""
        return self.around & ~self.farmed


class Sketch:
    """The drawing of one landscape, layer after layer.

    Args:
        place: Its size and seed.
        geobox: Grid to draw on, in the place's frame; all layers are arrays [y, x] of its shape.

    Attributes:
        ground: What stands where, once finished; so are the others.
        parcels: Who farms it.
        houses: Every house.
        town: Position (x, y) of the town's centre.
    """

    ground: Ground
    parcels: Parcels
    houses: Houses
    town: tuple[float, float]

    def __init__(self, place: Place, geobox: GeoBox):
        self.place, self.geobox = place, geobox
        self.shape = (geobox.shape.y, geobox.shape.x)
        self.resolution_m = float(geobox.resolution.x)
        self.rng = np.random.default_rng([place.seed, 1])
        columns, rows = np.meshgrid(np.arange(self.shape[1]) + 0.5, np.arange(self.shape[0]) + 0.5)
        self.x, self.y = (np.asarray(axis, np.float32) for axis in geobox.transform @ (columns, rows))

    def finish(self) -> "Sketch":
        """Draw all layers, later ones over earlier ones: savanna, fields, tree lines, paths, settlements, river."""
        terrain = self._terrain()
        unfit = terrain.valley_m < RIVER_DISTANCE_M
        settlements = Settlements.scatter(self.place, self.rng, unfit, self.resolution_m)
        self.houses = Houses.build(self.place, settlements, unfit, self.resolution_m)
        self.town = (float(settlements.x[0]), float(settlements.y[0]))
        overlaps = Overlaps.of(self.houses.polygons, self.geobox)
        blocks = self._blocks()
        strips = self._strips(blocks.number)
        farmland = self._farmland(terrain, blocks, strips, self._nearness(settlements))
        cover, woody = self._vegetation(terrain, farmland)
        self._lines(cover, woody, terrain, blocks, farmland)
        roof = self._build(cover, woody, settlements, overlaps)
        water = (terrain.river_m < 9 + 4 * self._noise(300)) & (roof == 0)
        cover[water], woody[water] = Cover.WATER, 0.0
        walls = overlaps.total(self.houses.walls) * crowding(roof, self.resolution_m)
        built = {"roof": roof, "roofing": overlaps.largest(self.houses.roof), "walls": walls}
        grown = self._season(terrain, blocks, strips, farmland)
        soil = self._soil(cover, terrain, strips, farmland)
        self.ground = Ground(
            cover=cover, woody=woody, wetness=terrain.wetness.astype(np.float32), **grown, **soil, **built
        )
        number = np.unique(np.where(cover == Cover.CROPLAND, strips.parcel, 0), return_inverse=True)[1]
        self.parcels = Parcels(number.reshape(self.shape).astype(np.int32), strips.furrows)
        return self

    def _terrain(self) -> "_Terrain":
        river_m, stream_m = self._valleys()
        relief = self._noise(900, 3)
        valley_m = np.minimum(river_m, stream_m * 1.6)
        return _Terrain(river_m, valley_m, np.clip(np.exp(-valley_m / 130) * 0.9 - relief * 0.08, 0, 1))

    def _farmland(self, terrain: "_Terrain", blocks: "_Blocks", strips: "_Strips", nearness: np.ndarray) -> "_Farmland":
        """Fields thicken towards settlements and good soil; the savanna keeps whole blocks."""
        fertile = self._noise(700, 2)
        appeal = -0.1 + 0.9 * fertile + 1.6 * nearness - 0.8 * (terrain.valley_m < 40) + 0.5 * strips.large
        mean = _mean_of_each(blocks.number, appeal)
        farmed = uniform(strips.parcel, 1) < 0.93 / (1 + np.exp(-3.0 * (mean + 0.35 * normal(strips.parcel, 2))))
        return _Farmland(farmed, mean > -0.1, fertile, self._noise(32, 2), self._noise(260, 3))

    def _vegetation(self, terrain: "_Terrain", farmland: "_Farmland") -> tuple[np.ndarray, np.ndarray]:
        """Cover, uint8, and share of crowns, float32, of fields and of what grows by itself."""
        farmed, trees, shrubs = farmland.farmed, farmland.trees, farmland.shrubs
        wild = np.clip(0.12 + 0.15 * shrubs + 0.15 * trees, 0, 0.95) * np.where(farmland.around, 0.4, 1.0)
        parkland = np.clip(0.05 + 0.1 * shrubs, 0, 0.22) * (1 + 1.5 * (trees > 1.3))
        woody = np.where(farmed, parkland, wild).astype(np.float32)
        cover = np.where(farmed, Cover.CROPLAND, np.where(woody > 0.37, Cover.TREES, Cover.GRASS)).astype(np.uint8)
        cover[(self._noise(160, 3) > 1.75) & ~farmed & (terrain.wetness < 0.4)] = Cover.BARE
        return cover, woody

    def _lines(
        self, cover: np.ndarray, woody: np.ndarray, terrain: "_Terrain", blocks: "_Blocks", farmland: "_Farmland"
    ) -> None:
        """Lone trees, hedges, gallery woods and paths into ``cover`` and ``woody``."""
        trees, valley_m = farmland.trees, terrain.valley_m
        square = key_of(self.place.seed, (self.x // 20).astype(int), (self.y // 20).astype(int))
        lone = (uniform(square, 3) < 0.012) & farmland.farmed
        hedge = (uniform(blocks.edge, 4) < 0.3) & (blocks.edge_m < 6.5) & (trees > -0.9)
        gallery = (valley_m > 6) & (valley_m < 38 + 14 * trees) & (farmland.shrubs + trees > -0.6)
        for crowns in (lone, hedge, gallery):
            cover[crowns], woody[crowns] = Cover.TREES, 0.75
        paths = (uniform(blocks.edge, 5) < 0.55) & (blocks.edge_m < 2.6) & ~hedge
        cover[paths], woody[paths] = Cover.BARE, 0.0

    def _season(
        self, terrain: "_Terrain", blocks: "_Blocks", strips: "_Strips", farmland: "_Farmland"
    ) -> dict[str, np.ndarray]:
        """What is sown, when, and how it fares; fields of ``Ground``."""
        parcel, farmed, fallow = strips.parcel, farmland.farmed, farmland.fallow
        fertile = _mean_of_each(blocks.number, farmland.fertile)
        crop = np.digitize(uniform(parcel, 6) + 0.1 * fertile, self.place.country.crops).astype(np.uint8)
        grazing = np.clip(0.72 + 0.18 * self._noise(350, 2) + 0.2 * normal(parcel, 8) * fallow, 0.2, 1.1)
        failed = farmed & (uniform(parcel, 13) < 0.06)  # sown, and lost to weeds
        tended = np.where(failed, 0.25, np.clip(0.84 + 0.23 * normal(parcel, 9) + 0.08 * farmland.fertile, 0.2, 1.2))
        weeds = np.clip(0.32 + 0.27 * normal(parcel, 10) + 0.6 * failed, 0, 1) * (farmed | fallow)
        within = 1 + 0.09 * self._noise(45, 3) - 0.2 * (strips.edge_m < 4)
        return {
            "crop": crop,
            "sowing_day": np.array([150, 183, 174], np.float32)[crop] + 15 * normal(parcel, 7) - 6 * terrain.wetness,
            "ploughed_days": np.clip(24 + 12 * normal(parcel, 12), 3, 60),
            "vigour": (np.where(farmed, tended, grazing) * within).astype(np.float32),
            "weeds": weeds.astype(np.float32),
        }

    def _soil(
        self, cover: np.ndarray, terrain: "_Terrain", strips: "_Strips", farmland: "_Farmland"
    ) -> dict[str, np.ndarray]:
        """How bright, red and rough bare ground is; fields of ``Ground``."""
        country, parcel, wetness = self.place.country, strips.parcel, terrain.wetness
        tone = country.soil_tone + 0.22 * self._noise(1000, 2) + 0.05 * self._noise(30, 2) - 0.15 * wetness
        tone = tone + 0.2 * normal(parcel, 11) * farmland.farmed + 0.2 * (cover == Cover.BARE)
        red = country.soil_red + 0.2 * self._noise(1400, 2) - 0.3 * wetness
        furrowed = normal(parcel, 14) * (farmland.farmed | farmland.fallow)
        return {
            "soil": np.clip(tone, 0, 1).astype(np.float32),
            "red": np.clip(red, 0, 1).astype(np.float32),
            "roughness": (0.8 * furrowed + 0.5 * self._noise(90, 3)).astype(np.float32),
        }

    def _noise(self, scale_m: float, octaves: int = 1) -> np.ndarray:
        return fractal_noise(self.rng, self.shape, scale_m / self.resolution_m, octaves)

    def _valleys(self) -> tuple[np.ndarray, np.ndarray]:
        """Metres to the river, which meanders from north to south, and to a dry stream that joins it."""
        wave, phase = self.rng.uniform(1500, 2100), self.rng.uniform(0, 2 * np.pi)
        meander = self.rng.uniform(45, 75)
        middle = -0.22 * self.place.width_m + 0.16 * self.y
        bend = self.place.width_m * 0.09 * np.sin(2 * np.pi * self.y / wave + phase)
        small = meander * np.sin(2 * np.pi * self.y / 430 + 2 * phase) + 18 * np.sin(2 * np.pi * self.y / 150)
        slope = 0.16 + self.place.width_m * 0.09 * 2 * np.pi / wave * np.cos(2 * np.pi * self.y / wave + phase)
        slope = slope + meander * 2 * np.pi / 430 * np.cos(2 * np.pi * self.y / 430 + 2 * phase)
        river_m = np.abs(self.x - middle - bend - small) / np.hypot(1, slope)
        course = 0.12 * self.place.height_m + 0.3 * self.x + 90 * np.sin(self.x / 190 + phase)
        stream_m = np.abs(self.y - course) + 1e4 * (self.x < middle + bend + small)
        return river_m, stream_m + 12 * self._noise(120)

    def _nearness(self, settlements: Settlements) -> np.ndarray:
        """Pull of the settlements on fields, by distance and size, about 0…1; lone farmsteads have none."""
        pull = np.zeros(self.shape, np.float32)
        lone = len(self.place.country.settlements) - 1
        for x, y, radius, kind in zip(
            settlements.x, settlements.y, settlements.radius_m, settlements.kind, strict=True
        ):
            if kind < lone:
                reach = 350 * min(1.0, 0.4 + radius / 250)
                pull = np.maximum(pull, np.exp(-np.hypot(self.x - x, self.y - y) / reach))
        return pull

    def _blocks(self) -> "_Blocks":
        spacing = np.sqrt(self.place.country.block_ha) * 100
        reach_x, reach_y = (float(np.abs(axis).max()) + 1.5 * spacing for axis in (self.x, self.y))
        knots = np.stack(np.meshgrid(np.arange(-reach_x, reach_x, spacing), np.arange(-reach_y, reach_y, spacing)), -1)
        seeds = knots.reshape(-1, 2) + self.rng.uniform(-0.45, 0.45, (knots.size // 2, 2)) * spacing
        warped = np.stack([self.x + 14 * self._noise(130, 2), self.y + 14 * self._noise(130, 2)], -1)
        distance, nearest = cKDTree(seeds).query(warped, k=2)
        low, high = nearest.min(-1), nearest.max(-1)
        edge_m = (distance[..., 1] - distance[..., 0]) / 2
        return _Blocks(nearest[..., 0], edge_m, key_of(self.place.seed, low, high))

    def _strips(self, block: np.ndarray) -> "_Strips":
        country = self.place.country
        key = key_of(self.place.seed, block)
        estate = self._noise(1500)
        large = _mean_of_each(block, estate) > 1.15
        angle = np.pi * uniform(key, 20)
        u = self.x * np.cos(angle) + self.y * np.sin(angle) + 3 * self._noise(70)
        v = self.y * np.cos(angle) - self.x * np.sin(angle) + 3 * self._noise(70)
        width = np.where(large, country.estate_m, country.parcel_m) * np.exp(0.28 * normal(key, 21))
        row = np.floor(u / width).astype(int)
        strip = key_of(key.view(np.int64), row)
        length = width * np.where(large, 1.9, 1.75) * np.exp(0.35 * normal(strip, 22))
        along = v / length + uniform(strip, 23)
        column = np.floor(along).astype(int)
        across = (0.5 - np.abs(u / width - row - 0.5)) * width
        ends = (0.5 - np.abs(along - column - 0.5)) * length
        furrows = (angle + np.pi / 2).astype(np.float32)  # strips run along v
        return _Strips(key_of(strip.view(np.int64), column), np.minimum(across, ends), large, furrows)

    def _build(self, cover: np.ndarray, woody: np.ndarray, settlements: Settlements, houses: Overlaps) -> np.ndarray:
        """Yards and streets into ``cover`` and ``woody``; returns the share of roofs, float32 [y, x]."""
        roof = houses.total()
        metres = ndimage.distance_transform_edt(roof == 0) * self.resolution_m
        yard = metres < 7.5 + 2.5 * self._noise(25)
        square = key_of(self.place.seed, 7, (self.x // 11).astype(int), (self.y // 11).astype(int))
        garden = uniform(square, 33)
        street = np.zeros(self.shape, bool)
        for lattice in settlements.each(self.place):
            near = self._window(lattice.x, lattice.y, RIM * 1.3 * lattice.radius_m)
            street[near] |= lattice.streets(self.x[near], self.y[near])
        for where, kind, canopy in (
            (yard & (garden < 0.55), Cover.BARE, 0.04),
            (yard & (garden >= 0.55) & (garden < 0.84), Cover.GRASS, 0.12),
            (yard & (garden >= 0.84), Cover.TREES, 0.7),
            (street, Cover.BARE, 0.0),
        ):
            cover[where], woody[where] = kind, canopy
        woody *= 1 - np.minimum(1.5 * roof, 1)  # crowns do not hide roofs
        cover[roof >= 0.5] = Cover.BUILT
        return roof

    def _window(self, x: float, y: float, reach_m: float) -> tuple[slice, slice]:
        """Rows and columns within ``reach_m`` of a position."""
        row = (self.y[0, 0] - y) / self.resolution_m
        column = (x - self.x[0, 0]) / self.resolution_m
        reach = reach_m / self.resolution_m
        return (
            slice(max(int(row - reach), 0), max(int(row + reach) + 1, 0)),
            slice(max(int(column - reach), 0), max(int(column + reach) + 1, 0)),
        )


def _mean_of_each(block: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means over blocks, at every pixel."""
    return (np.bincount(block.ravel(), values.ravel()) / np.bincount(block.ravel()).clip(1))[block]
