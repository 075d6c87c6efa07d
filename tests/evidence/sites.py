"""The two sites in Flanders: real imagery and labels; a head trained on one and judged on the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stook.models.encoder import Encoder
from stook.models.inference import Embedder
from stook.models.metrics import Estimate, evaluate
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.labelled import labels_of, layout_of
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.pipelines.train import run_training
from stook.pipelines.training_configuration import TrainConfiguration, TrainingSection
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import extents, open_layer
from stook.transforms.encoding.cutting import TileSeason
from stook.transforms.encoding.encode import TileView
from stook.transforms.ground.grid import Grid, Tile, TileRange
from stook.transforms.labelled.features import (
    LabelledFeatures,
    SeasonReader,
    SeasonSettings,
    labelled_features,
    training_grid,
)
from stook.transforms.labelled.label_files import read_labels
from stook.transforms.labelled.labels import Classes, LabelledPixels
from stook.transforms.tiles.view import encoded_view
from stook.transforms.values import NODATA
from tests.conftest import SHARED

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "infra/examples/flanders"
LABELS = SHARED / "data/flanders/labels"
CLASSES = Classes((11,), (13, 60))
Change = dict[str, Any]
WHOLE: Change = {}  # the season as the examples have it
SHORT: Change = {"window": {"start": {"month": 4, "year": 0}, "months": 1}, "minimum_observations": 1}  # for small runs


@dataclass(frozen=True)
class Direction:
    """Which site is trained on, and which is mapped.

    Attributes:
        trained: Site.
        mapped: The other one.
        year: Harvest year of the mapped one.
    """

    trained: str
    mapped: str
    year: int

    def __str__(self) -> str:
        return f"{self.trained}_to_{self.mapped}"


DIRECTIONS = (Direction("west", "east", 2019), Direction("east", "west", 2018))


@dataclass(frozen=True)
class Transfer:
    """A head of one site on the map of the other.

    Attributes:
        config: Of the map.
        edition: The map.
        strength: The C that the head was fitted with.
        estimate: AUC of the map at the labelled pixels, with its interval from resampling parcels.
        parcels: How many these are.
    """

    config: MapConfiguration
    edition: Edition
    strength: float
    estimate: Estimate
    parcels: int

    @property
    def note(self) -> str:
        """What a reader needs beside the AUC."""
        low, high = self.estimate.low, self.estimate.high
        return f"[{low:.3f}, {high:.3f}] over {self.parcels} parcels; C = {self.strength:g}"


def transfer(
    direction: Direction, folder: Path, season: Change = WHOLE, variant: str = "", changes: Change = WHOLE
) -> Transfer:
    """Train on one site as an example says, map the other, judge the map.

    Args:
        direction: The sites.
        folder: Everything is written there.
        season: Fields of the examples' ``training`` and product to replace.
        variant: End of the name of the training's example, ``-chosen``.
        changes: Fields of the example's ``training`` alone to replace.
    """
    example = EXAMPLES / f"train-{direction.trained}{variant}.yaml"
    # The map is judged, at every labelled pixel of the other site; the training need not look at it too.
    training = {"bundle": "bundle", "held_out": []} | season | changes
    trained = run_training(load(relocated(example, folder, training=training), TrainConfiguration), JsonReporter())
    example = EXAMPLES / f"map-{direction.mapped}.yaml"
    product = {"bundle": str(folder / "bundle")} | season
    config = load(relocated(example, folder, product=product), MapConfiguration)
    edition = run_map(config, direction.year, JsonReporter()).edition
    labels = read_labels(LABELS / f"{direction.mapped}_LC.tif", CLASSES, parcels=LABELS / f"{direction.mapped}_CT.tif")
    percent = values_at(edition, labels)
    truth, parcels = labels.table["label"].to_numpy(), labels.table["parcel"].to_numpy()
    found = percent != NODATA
    estimate = evaluate(truth[found], percent[found] / 100, parcels[found])["auc"]
    return Transfer(config, edition, trained.strength, estimate, len(np.unique(parcels[found])))


def relocated(example: Path, folder: Path, training: Change | None = None, product: Change | None = None) -> Path:
    """A copy of an example that writes into ``folder``; archives, labels and weights stay where they are."""
    settings = yaml.safe_load(example.read_text().replace("../../../../shared", str(SHARED)))
    if training is not None:
        settings["training"] |= training
    if product is not None:
        settings["output"] = "out"
        settings["products"]["cropland"] |= product
    folder.mkdir(parents=True, exist_ok=True)
    (folder / example.name).write_text(yaml.safe_dump(settings))
    return folder / example.name


def values_at(edition: Edition, labels: LabelledPixels) -> np.ndarray:
    """The map at labelled pixels, uint8 [pixel]."""
    tiles = [Tile.parse(name) for name in edition.manifest["tiles"]]
    spans: dict[str, TileRange] = {zone.name: span for zone, span in extents(tiles).items()}
    values = np.full(len(labels), NODATA, np.uint8)
    grid: Grid = edition.plan.grid
    for zone, part in labels.table.groupby("zone"):
        span = spans[str(zone)]
        top = span.iy1 * grid.tile_px - 1
        array = open_layer(edition.maps, str(zone), grid.resolution_m, "cropland")
        rows, columns = top - part["row"].to_numpy(), part["column"].to_numpy() - span.ix0 * grid.tile_px
        values[part.index] = array.get_coordinate_selection((rows, columns))
    return values


@dataclass(frozen=True)
class SiteSeason:
    """The composite of a site, read once for encoders of single pixels that read the same bands and months.

    Attributes:
        training: The example that trains on the site.
        labels: Its labelled pixels.
        grid: Of the tiles.
        seasons: The composites.
    """

    training: TrainingSection
    labels: LabelledPixels
    grid: Grid
    seasons: dict[Tile, TileSeason]

    @classmethod
    def read(cls, site: str, encoder: Encoder, folder: Path, season: Change = WHOLE) -> "SiteSeason":
        """Read what ``encoder`` wants of a site, by the path that training takes."""
        config = load(relocated(EXAMPLES / f"train-{site}.yaml", folder, training=season), TrainConfiguration)
        [section] = config.training.labels
        labels, specification = labels_of(section), encoder.specification
        window = config.training.window.window()
        settings = SeasonSettings(
            sources=config.imagery.sources(),
            periods=window.periods(section.year, specification.period, specification.most_periods),
            cloud_dilation_px=config.composite.cloud_dilation_px,
            readers=config.run.readers,
        )
        grid = training_grid(cell_px=1)
        reader = SeasonReader(specification, settings, labels.bounds, grid)
        seasons = {tile: reader.read(tile) for tile, *_ in labels.by_tile(grid)}
        return cls(config.training, labels, grid, seasons)

    def features(self, encoder: Encoder, most_pixels: int | None = None) -> LabelledFeatures:
        """The vectors of the labelled pixels, or of ``most_pixels`` of them."""
        labels = self.labels.thinned(most_pixels or len(self.labels), self.training.seed)
        embedder, layout = Embedder(encoder), layout_of(self.training, encoder)
        everywhere = np.ones((self.grid.tile_px, self.grid.tile_px), bool)

        def view(tile: Tile) -> TileView:
            return encoded_view(self.seasons[tile], embedder, layout, everywhere)

        return labelled_features(
            labels=labels,
            view=view,
            grid=self.grid,
            cell_px=layout.cell_px,
            width=encoder.output.width,
            minimum_observations=self.training.minimum_observations,
            block_m=self.training.block_m,
        )
