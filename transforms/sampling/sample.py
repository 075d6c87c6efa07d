"""A drawn sample as it is kept: its design for us, its points for interpreters.

In ``<season>/samples/<id>/`` ``design.json`` and ``key.parquet`` are ours; ``points.csv``, ``points.geojson`` and
``points.gpkg`` are for interpreters and do not say what the map says.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from stook.models.errors import InputError
from stook.transforms.estimators.design import Design, Stratum
from stook.transforms.store import Address, read_bytes, read_whole, whole_folders

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
        units_dm2: Unit -> its ground in the stratum, exact, of units that have any; None if it was not kept.
    """

    name: str
    area_dm2: int
    points: int
    spread: float | None = None
    units_dm2: Mapping[str, int] | None = None


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
        key_sha256: Of ``key.parquet``; None before it is written, and in samples from before it was kept.
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
    key_sha256: str | None = None


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
    def read(cls, folder: Address) -> "Sample":
        """The sample in a folder.

        Raises:
            InputError: If there is none, or its files were changed.
        """
        drawn = read_design(folder)
        return cls(drawn, _key(folder / KEY, drawn))

    def design(self, answered: np.ndarray) -> Design:
        """The design of the points that were answered, areas in hectares; points of the plane are countless.

        Args:
            answered: bool [point], in the order of ``points``.

        Raises:
            InputError: If a stratum is left with fewer than two points.
        """
        strata = tuple(Stratum(stratum.name, stratum.area_dm2 / DM2_PER_HA) for stratum in self.drawn.strata)
        return Design(strata, self.points["stratum"].to_numpy()[answered])


def read_design(folder: Address) -> SampleDesign:
    """How the sample in a folder was drawn.

    Raises:
        InputError: If there is none, or the file was changed to what is no design.
    """
    data = read_whole(folder, DESIGN)
    if data is None:
        raise InputError(f"{folder}: there is no sample; draw one with 'stook sample'")
    try:
        return DESIGNS.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "content"
        raise InputError(f"{folder / DESIGN}: {field}: {first['msg']}; it is no design of a sample") from error


def designs_in(season: Address) -> dict[Address, SampleDesign]:
    """Folder -> design of every sample of a season, by name.

    Raises:
        InputError: As ``read_design``.
    """
    home = season / SAMPLES
    return {home / name: read_design(home / name) for name in whole_folders(home, DESIGN)}


def _key(file: Address, drawn: SampleDesign) -> pd.DataFrame:
    """The points of a design; raises InputError if they are not those that were drawn by it."""
    try:
        content = read_bytes(file)
        if content is None:
            raise FileNotFoundError("it is missing")
        points = pd.read_parquet(io.BytesIO(content))
        counts = points["stratum"].value_counts()
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: cannot be read as the key of a sample ({reason})") from error
    for place, stratum in enumerate(drawn.strata):
        there = counts.get(place, 0)
        if there != stratum.points:
            raise InputError(
                f"{file}: has {there} points of stratum {stratum.name!r}; {stratum.points} were drawn by {DESIGN}"
            )
    total = sum(stratum.points for stratum in drawn.strata)
    if len(points) != total:
        raise InputError(f"{file}: has {len(points)} points; {total} were drawn by {DESIGN}")
    if drawn.key_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise InputError(f"{file}: was changed since the sample was drawn; its SHA-256 is not that of {DESIGN}")
    return points
