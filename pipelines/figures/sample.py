"""``stook sample``: reference points drawn from a published map, for interpreters."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures.configuration import SampleSection
from stook.pipelines.season import published_edition, season_folder, thresholds_of
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import now
from stook.transforms.editions.plan import DerivedPlan, ProductPlan, digest
from stook.transforms.sampling.allocation import allocated, expected_error, size_for, weights_of
from stook.transforms.sampling.classes import SHARES
from stook.transforms.sampling.drawing import drawn_points
from stook.transforms.sampling.files import INTERPRETERS_FILES, sample_folder, write_sample
from stook.transforms.sampling.sample import DESIGN, DM2_PER_HA, Sample, SampleDesign, SampledStratum
from stook.transforms.sampling.strata import DividedMap, Division, MeasuredStratum, measured_strata
from stook.transforms.store import Address, read_whole
from stook.transforms.tiles.map_reader import MapReader

DRAWING_VERSION = 1  # raised whenever the same settings would give other points
EXAMPLE = "sample: {product: cropland, points: 500}"
# What of the section decides the points; the rest is about their answers, and may change once they are drawn.
DECIDING = frozenset(
    {
        "product",
        "strata",
        "points",
        "standard_error_percent",
        "expected_accuracy_percent",
        "allocation",
        "fewest_points",
        "seed",
    }
)
DIGEST_DIGITS = 8


def run_sample(config: MapConfiguration, year: int, since: int | None = None) -> Address:
    """Draw the configured sample unless it is drawn already; print its strata and where its files are.

    Args:
        config: With a section ``sample``.
        year: Harvest year of the map.
        since: Harvest year of an earlier map with whose classes the strata are crossed.

    Returns:
        The sample's folder.

    Raises:
        InputError: If there is no such section, map or earlier map, or points are too few for the strata.
    """
    if config.sample is None:
        raise InputError(f"sample: is missing; add for example '{EXAMPLE}' to the configuration")
    if since is not None and since >= year:
        raise InputError(f"--since {since}: has to be before --year {year}")
    edition = published_edition(config, year)
    product = product_of(edition, config.sample.product, year)
    earlier = None if since is None else earlier_edition(config, edition, product, since)
    season = season_folder(config, year).folder
    sample_id = id_of(config.sample, edition, earlier, thresholds_of(config))
    folder = sample_folder(season, sample_id)
    if there := read_whole(folder, DESIGN) is not None:
        drawn = Sample.read(folder)
    else:
        drawn = draw(config, edition, earlier, sample_id)
        folder = write_sample(season, drawn)
    print_sample(drawn.drawn)
    print("This sample is drawn already; nothing was changed." if there else f"Drawn with seed {drawn.drawn.seed}.")
    print(f"For interpreters, in {folder}: {', '.join(INTERPRETERS_FILES)}.")
    print("The other files there say what the map says; keep them from interpreters.")
    return folder


def draw(config: MapConfiguration, edition: Edition, earlier: Edition | None, sample_id: str) -> Sample:
    """The sample that the configuration asks for."""
    section = config.sample
    assert section is not None
    reader = MapReader(edition)
    before = None if earlier is None else MapReader(earlier)
    divided = DividedMap(reader, section.product, thresholds_of(config), division_of(section), before)
    strata = measured_strata(divided)
    counts = counts_of(section, strata)
    design = SampleDesign(
        id=sample_id,
        region=config.name,
        season=str(reader.plan.season),
        edition=edition.id,
        since=None if earlier is None else earlier.id,
        product=section.product,
        cell_m=reader.plan.cells(reader.product(section.product)).resolution_m,
        units_hash=reader.plan.units_hash,
        seed=section.seed,
        settings=section.model_dump(mode="json"),
        drawn=now(),
        strata=tuple(
            SampledStratum(stratum.name, stratum.area_dm2, int(points), stratum.spread, stratum.units_dm2)
            for stratum, points in zip(strata, counts, strict=True)
        ),
    )
    return Sample(design, drawn_points(divided, strata, counts, section.seed))


def division_of(section: SampleSection) -> Division:
    """How the section divides the ground."""
    strata = section.strata
    accuracy = section.expected_accuracy_percent / 100
    return Division(strata.by, tuple(strata.bands_percent), strata.raster, strata.within, accuracy)


def counts_of(section: SampleSection, strata: tuple[MeasuredStratum, ...]) -> np.ndarray:
    """How many points each stratum gets, int [stratum].

    Raises:
        InputError: If the budget is too small for the strata, or a standard error needs too many points.
    """
    areas = np.array([stratum.area_dm2 for stratum in strata], float)
    shares, spreads = areas / areas.sum(), np.array([stratum.spread for stratum in strata])
    points = section.points
    if points is None:
        assert section.standard_error_percent is not None
        target = section.standard_error_percent / 100
        points = size_for(section.allocation, shares, spreads, target, section.fewest_points)
    return allocated(weights_of(section.allocation, shares, spreads), points, section.fewest_points)


def product_of(edition: Edition, product: str, year: int) -> ProductPlan | DerivedPlan:
    """The product of an edition; raises InputError if it has no such map."""
    made = {found.product: found for found in edition.plan.all_products}
    if product not in made:
        raise InputError(
            f"sample.product: {product} is not in the edition published for {year}; it has {', '.join(made)}"
        )
    return made[product]


def earlier_edition(
    config: MapConfiguration, edition: Edition, product: ProductPlan | DerivedPlan, since: int
) -> Edition:
    """The published edition of an earlier year, of whatever model it is.

    Raises:
        InputError: If there is none, or its units, tiles or cells of the product are others: they are other ground.
    """
    folder = season_folder(config, since)
    earlier = folder.current()
    if earlier is None:
        raise InputError(f"--since {since}: {folder.folder}: no edition of this season is published")
    new, old = edition.plan, earlier.plan
    same = {
        "units": new.units_hash == old.units_hash,
        "tiles": new.grid == old.grid,
        f"cells of {product.product}": new.cells(product) == old.cells(product_of(earlier, product.product, since)),
    }
    differing = [name for name, alike in same.items() if not alike]
    if differing:
        raise InputError(
            f"--since {since}: edition {earlier.id} has other {' and '.join(differing)} than {edition.id}; strata of "
            "change need maps of the same"
        )
    return earlier


def id_of(section: SampleSection, edition: Edition, earlier: Edition | None, thresholds: Mapping[str, int]) -> str:
    """Name of a sample: its product and a hash of everything that decides the points, so that each is drawn once."""
    deciding: dict[str, Any] = section.model_dump(mode="json", include=set(DECIDING))
    deciding |= {
        "version": DRAWING_VERSION,
        "edition": edition.id,
        "since": None if earlier is None else earlier.id,
        "threshold": thresholds.get(section.product),
        "raster": None if section.strata.raster is None else content_hash(section.strata.raster),
    }
    return f"{section.product}-{digest(deciding)[:DIGEST_DIGITS]}"


def content_hash(location: str) -> str:
    """SHA-256 of a raster's file; of what is no file of this machine the location stands for it."""
    path = Path(location)
    if "://" in location:
        return location
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"sample.strata.raster: {path} cannot be read ({error.strerror or error})") from error


def print_sample(design: SampleDesign) -> None:
    """Print the strata, what is expected of them and of the whole sample."""
    total = sum(stratum.area_dm2 for stratum in design.strata)
    shares = np.array([stratum.area_dm2 for stratum in design.strata]) / total
    spreads = np.array([np.nan if stratum.spread is None else stratum.spread for stratum in design.strata])
    counts = np.array([stratum.points for stratum in design.strata])
    since = "" if design.since is None else f", crossed with edition {design.since}"
    print(f"Sample {design.id}: {design.product}, {design.season}, edition {design.edition}{since}")
    shown = Table(box=None)
    shown.add_column("stratum")
    for heading in ("ha", "% of area", "points", "exp. s.e., ha"):
        shown.add_column(heading, justify="right")
    for stratum, share, spread in zip(design.strata, shares, spreads, strict=True):
        area = stratum.area_dm2 / DM2_PER_HA
        error = area * spread / np.sqrt(stratum.points)
        shown.add_row(stratum.name, f"{area:,.1f}", f"{100 * share:.2f}", f"{stratum.points:,}", f"{error:,.1f}")
    expected = expected_error(shares, spreads, counts)
    whole = total / DM2_PER_HA
    shown.add_row("all", f"{whole:,.1f}", "100.00", f"{counts.sum():,}", f"{expected * whole:,.1f}")
    Console(width=132).print(shown)
    what = "covered ground" if design.product in SHARES else "the class"
    print(
        f"Expected standard error of {what}: {100 * expected:.2f} % of all ground. It is a guess made before any point "
        "is judged; the estimate tells its own."
    )
