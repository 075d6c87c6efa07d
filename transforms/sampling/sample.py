"""A drawn sample on disk: its design for us, its points for interpreters.

In ``<season>/samples/<id>/`` ``design.json`` and ``key.parquet`` are ours; ``points.csv``, ``points.geojson`` and
``points.gpkg`` are for interpreters and do not say what the map says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from models.errors import InputError
from transforms.estimators.design import Design, Stratum
from transforms.store import read_json

SAMPLES = "samples"  # folder of a season
DESIGN = "design.json"
KEY = "key.parquet"
DM2_PER_HA = 1_000_000


@dataclass(frozen=True)
class SampledStratum:
    """A stratum as it was drawn from.

    Attributes:
        name: Unique in the sample; says what it is, e.g. ``cropland 80-100 %`` or ``not mapped``.
        area_dm2: Of its ground, exact.
        points: Drawn in it.
        spread: Standard deviation that was expected in it, of the share that is estimated; None if nobody said.
    """

    name: str
    area_dm2: int
    points: int
    spread: float | None = None


@dataclass(frozen=True)
class SampleDesign:
    """How a sample was drawn, as ``design.json`` keeps it.

    Attributes:
        id: Of the sample; its folder.
        region: Name of the region.
        season: E.g. ``main-2023``.
        edition: Whose map the strata are of.
        since: Edition of an earlier season that the strata are crossed with, or None.
        product: Whose map it is.
        cell_m: Side of its cells, and of the ground that an interpreter judges.
        units_hash: Of the region.
        seed: Of the draw.
        settings: The configuration's section ``sample``.
        drawn: UTC, ISO 8601.
        strata: All of the region's ground, in order.
    """

    id: str
    region: str
    season: str
    edition: str
    since: str | None
    product: str
    cell_m: float
    units_hash: str
    seed: int
    settings: Mapping[str, Any]
    drawn: str
    strata: tuple[SampledStratum, ...]


DESIGNS = TypeAdapter(SampleDesign)


@dataclass(frozen=True)
class Sample:
    """A sample with its points.

    Attributes:
        drawn: How it was drawn.
        points: A row per point, ordered by ``point``:
            ``point`` int, from 1, in an order that says nothing of the strata;
            ``lon``, ``lat`` float, degrees;
            ``stratum`` int, index in ``drawn.strata``;
            ``unit`` str, id of the unit it lies in;
            ``value`` int, of the map's class image there: percent or code, or why there is none;
            ``before`` Int64, the same of the earlier edition, empty without one;
            ``inclusion_per_ha`` float, expected number of points per hectare of its stratum.
    """

    drawn: SampleDesign
    points: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "Sample":
        """The sample in a folder.

        Raises:
            InputError: If there is none.
        """
        data = read_json(folder / DESIGN)
        if data is None:
            raise InputError(f"{folder}: there is no sample; draw one with 'stook sample'")
        return cls(DESIGNS.validate_python(data), pd.read_parquet(folder / KEY))

    def design(self, answered: np.ndarray) -> Design:
        """The design of the points that were answered, areas in hectares; points of the plane are countless.

        Args:
            answered: bool [point], in the order of ``points``.

        Raises:
            InputError: If a stratum is left with fewer than two points.
        """
        strata = tuple(Stratum(stratum.name, stratum.area_dm2 / DM2_PER_HA) for stratum in self.drawn.strata)
        return Design(strata, self.points["stratum"].to_numpy()[answered])
