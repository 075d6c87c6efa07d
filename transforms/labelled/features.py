"""Features of labelled pixels, by the very path that maps take: read → composite → encode, or from stored vectors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stook.models.errors import InputError, TileError
from stook.models.specification import InputSpecification
from stook.models.training import Samples
from stook.transforms.backoff import BackOff
from stook.transforms.encoding.cutting import TileSeason
from stook.transforms.encoding.encode import TileView
from stook.transforms.ground.geodesy import lonlat_bounds, widened
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.imagery.freeze import Bounds, find_inputs
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import COMPOSITE_SENSORS, Source
from stook.transforms.labelled.labels import LabelledPixels
from stook.transforms.values import NODATA

# Labels are scattered: small tiles read little around a point; larger ones open fewer files for a raster.
TILE_SIZES_PX = (250, 200, 400, 500, 800, 1000, 1600, 2000)


@dataclass(frozen=True)
class SeasonSettings:
    """How labelled ground is read.

    Attributes:
        sources: The archives, by sensor.
        periods: What the encoder reads.
        cloud_dilation_px: By how much masked cloud grows.
        readers: Threads that read imagery.
        backoff: How patiently archives are asked.
    """

    sources: dict[str, Source]
    periods: tuple[Period, ...]
    cloud_dilation_px: int
    readers: int
    backoff: BackOff = BackOff()


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of the labelled pixels that have imagery.

    Attributes:
        samples: Features float32 [pixel, width], labels and blocks.
        parcels: int [pixel].
        unseen: Labelled pixels without enough imagery.
    """

    samples: Samples
    parcels: np.ndarray
    unseen: int


def training_grid(cell_px: int) -> Grid:
    """The tiles in which labels are read, whole numbers of cells wide.

    Raises:
        InputError: If no size fits.
    """
    for size in TILE_SIZES_PX:
        if size % cell_px == 0:
            return Grid(tile_px=size)
    raise InputError(f"stride_px: cells of {cell_px} pixels divide no size of tile; {TILE_SIZES_PX} are offered")


class SeasonReader:
    """Reads the composites of tiles around some labels.

    Args:
        specification: What the encoder expects.
        settings: How the ground is read.
        bounds: West, south, east, north of the labels, degrees.
        grid: The tiles.
        halo_px: How far beyond a tile the encoder looks.

    Attributes:
        absent: Bands that no archive has.

    Raises:
        InputError: If the archives are unusable there, or lack what the encoder needs.
        UnreachableError: If an archive does not answer.
    """

    def __init__(
        self,
        specification: InputSpecification,
        settings: SeasonSettings,
        bounds: Bounds,
        grid: Grid,
        halo_px: int = 0,
    ):
        self.settings = settings
        self.grid = grid
        self.halo_px = halo_px
        spans = {sensor: settings.periods for sensor in settings.sources if sensor in COMPOSITE_SENSORS}
        around = widened(bounds, halo_px * grid.resolution_m)
        self.inputs, self.absent, _ = find_inputs(settings.sources, around, spans, settings.backoff)
        self.wanted = CompositeSettings(
            bands=specification.band_names,
            periods=settings.periods,
            cloud_dilation_px=settings.cloud_dilation_px,
            absent_bands=self.absent,
            resampling=specification.resampling,
            readers=settings.readers,
        )

    def read(self, tile: Tile) -> TileSeason:
        """The composite of a tile; raises InputError for a missing or corrupt file, UnreachableError for silence."""
        geobox, settings = self.grid.geobox(tile, self.halo_px), self.settings
        items = self.inputs.near(lonlat_bounds(geobox))
        try:
            season = composite(items, settings.sources, geobox, self.wanted, settings.backoff)
        except TileError as error:
            raise InputError(str(error)) from error
        return TileSeason(self.grid, tile, season, self.halo_px)


def labelled_features(
    labels: LabelledPixels,
    view: Callable[[Tile], TileView],
    grid: Grid,
    cell_px: int,
    width: int,
    minimum_observations: int,
    block_m: float,
) -> LabelledFeatures:
    """The vectors of labelled pixels; where a cell is larger than a pixel, of the cell that a pixel lies in.

    Args:
        labels: The pixels.
        view: What heads see of a tile.
        grid: The tiles that ``view`` takes.
        cell_px: Side of a cell.
        width: Length of a vector.
        minimum_observations: Pixels with fewer clear observations are left out, as the map leaves them.
        block_m: Side of the blocks that cross-validation never splits.

    Raises:
        InputError: If only one class is left where there is enough imagery.
    """
    features, _ = vectors_at(labels, view, grid, cell_px, width, minimum_observations)
    seen_pixels = np.isfinite(features[:, 0])
    table = labels.table[seen_pixels]
    if table["label"].nunique() < 2:
        raise InputError(
            f"training.labels: only {len(table)} of {len(labels)} labelled pixels have "
            f"{minimum_observations} clear observations or more, and not of both classes"
        )
    samples = Samples(features[seen_pixels], table["label"].to_numpy(bool), labels.blocks(block_m)[seen_pixels])
    return LabelledFeatures(samples, table["parcel"].to_numpy(), int((~seen_pixels).sum()))


def vectors_at(
    pixels: LabelledPixels,
    view: Callable[[Tile], TileView],
    grid: Grid,
    cell_px: int,
    width: int,
    minimum_observations: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of pixels, float32 [pixel, width], and their clear observations, uint8 [pixel].

    NaN and 255 where there is no imagery; NaN where there are too few observations or the encoder gives no answer.
    Arguments as of ``labelled_features``.
    """
    features = np.full((len(pixels), width), np.nan, np.float32)
    clear = np.full(len(pixels), NODATA, np.uint8)
    for tile, index, rows, columns in pixels.by_tile(grid):
        seen = view(tile)
        place = rows // cell_px, columns // cell_px
        enough = (seen.clear != NODATA) & (seen.clear >= minimum_observations)
        wanted = np.zeros(enough.shape, bool)
        wanted[place] = True
        number = np.full(enough.shape, -1)
        vectors = [np.full((1, width), np.nan, np.float32)]  # the last row, which -1 means: no vector
        found = 0
        for part in seen.features(wanted & enough):
            number[part.rows, part.columns] = found + np.arange(len(part.rows))
            vectors.insert(-1, part.vectors.numpy())
            found += len(part.rows)
        features[index] = np.concatenate(vectors)[number[place]]
        clear[index] = seen.clear[place]
    return features, clear
