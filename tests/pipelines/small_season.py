"""A small simulated season that tests and evidence may map, copy and spoil."""

import shutil
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
import yaml

from models.bundle import Bundle, Provenance
from models.heads import Head
from models.presto import Presto, PrestoSize
from pipelines.configuration import MapConfiguration, load
from pipelines.demo.place import YEAR, write_place
from transforms.simulation.ground import Place
from transforms.simulation.scenes import Revisit

SMALL_PLACE = Place(width_m=900, height_m=1000, seed=21)
TILE_PX = 50
ABSENT = object()


@dataclass(frozen=True)
class SmallSeason:
    """A simulated place of about 0.9 km² over the meridian of 36° E, ready to be mapped.

    Attributes:
        config: For ``stook map``; tiles of 500 m, output beside it.
        year: Harvest year to map.
    """

    config: Path
    year: int

    @property
    def folder(self) -> Path:
        """Holds archive, units, truth, bundle and output."""
        return self.config.parent

    @property
    def output(self) -> Path:
        """The season's folder in the output."""
        return self.folder / "out" / "simulated" / f"main-{self.year}"

    @property
    def configuration(self) -> MapConfiguration:
        """The configuration, read anew."""
        return load(self.config, MapConfiguration)

    def items(self) -> list[Path]:
        """The STAC items of the archive, sorted; the assets of each lie beside it."""
        return sorted(path for path in (self.folder / "archive").glob("*/*/*.json"))

    def copy(self, folder: Path) -> "SmallSeason":
        """A copy in ``folder`` that may be spoiled."""
        shutil.copytree(self.folder, folder)
        return SmallSeason(folder / self.config.name, self.year)

    def configure(self, **fields: Any) -> "SmallSeason":
        """Change the configuration file: ``a__b=1`` sets ``a.b``, ``ABSENT`` takes a field out; returns the season."""
        content = yaml.safe_load(self.config.read_text())
        for name, value in fields.items():
            *sections, last = name.split("__")
            section = reduce(lambda inner, key: inner.setdefault(key, {}), sections, content)
            if value is ABSENT:
                section.pop(last)
            else:
                section[last] = value
        self.config.write_text(yaml.safe_dump(content, sort_keys=False))
        return self

    def hurried(self) -> "SmallSeason":
        """Shorten the window to three months, so that a tile takes a fraction of a second; returns the season."""
        window = {"start": {"month": 6, "year": 0}, "months": 3}
        return self.configure(products__cropland__window=window, products__cropland__minimum_observations=1)


def write_random_bundle(folder: Path, seed: int = 5) -> None:
    """A bundle with random weights from a fixed seed: fast, reproducible, and not worth a map."""
    torch.manual_seed(seed)
    provenance = Provenance(
        "cropland", "random weights", None, "Apache-2.0", "nothing", "# Random weights, for tests\n"
    )
    Bundle(Presto(PrestoSize(16, 1, 2, 2.0)).eval(), Head([16, 1]).eval(), None, provenance).save(folder)


def write_small_season(folder: Path) -> SmallSeason:
    """Simulate the small season in ``folder``."""
    write_random_bundle(folder / "bundle")
    revisit = Revisit(optical_days=30, radar_days=60)
    place = write_place(folder, SMALL_PLACE, TILE_PX, folder / "bundle", revisit)
    return SmallSeason(place.config, YEAR)
