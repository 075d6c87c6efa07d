"""From a configuration and a year to the plan, the region and the editions of that season."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from models.bundle import load_bundle
from models.errors import InputError
from pipelines.configuration import MapConfiguration, ProductName
from transforms.editions import Edition, SeasonFolder
from transforms.plan import Plan, ProductPlan
from transforms.region import Region, read_region
from transforms.season import Season


def region_of(config: MapConfiguration) -> Region:
    """The region that the configuration names."""
    section = config.region
    return read_region(
        section.file, section.id, parent_field=section.parent, name_field=section.name, layer=section.layer
    )


def plan_of(config: MapConfiguration, year: int, region: Region, provisional: bool) -> Plan:
    """The plan of one season; reads and checks the bundles.

    Raises:
        InputError: If a bundle is unusable or for another product, or a window is not over and not ``provisional``.
    """
    products = tuple(product_plan(name, config, year) for name in sorted(config.products))
    unfinished = max(product.periods[-1].end for product in products) > datetime.now(UTC)
    if unfinished and not provisional:
        raise InputError(f"--year {year}: the window of this season is not over yet; --provisional maps it as it is")
    return Plan(
        name=config.name,
        season=Season(config.season.name, year),
        provisional=unfinished,
        grid=config.grid.grid(),
        sources=config.imagery.sources(),
        cloud_dilation_px=config.composite.cloud_dilation_px,
        products=products,
        units_hash=region.hash,
    )


def product_plan(name: ProductName, config: MapConfiguration, year: int) -> ProductPlan:
    """How one product is made, its bundle checked against the configuration.

    Raises:
        InputError: If the bundle is unusable, for another product, or was trained on other months or cloud masks.
    """
    section = config.products[name]
    bundle = load_bundle(Path(section.bundle))
    periods = section.window.window().periods(year)
    months, trained = [period.month for period in periods], bundle.conditions
    if bundle.provenance.product != name:
        raise InputError(f"products.{name}.bundle: {section.bundle} is for {bundle.provenance.product}, not {name}")
    if months != list(trained.months):
        raise InputError(
            f"products.{name}.window: months {spelt(months)}, but {section.bundle} was trained on "
            f"{spelt(trained.months)}"
        )
    if config.composite.cloud_dilation_px != trained.cloud_dilation_px:
        raise InputError(
            f"composite.cloud_dilation_px: {config.composite.cloud_dilation_px}, but {section.bundle} was trained with "
            f"{trained.cloud_dilation_px}"
        )
    return ProductPlan(name, section.bundle, bundle.hash, periods, section.minimum_observations)


def spelt(months: Sequence[int]) -> str:
    """Calendar months as a list in words, e.g. ``11, 12, 1``."""
    return ", ".join(map(str, months))


def season_folder(config: MapConfiguration, year: int) -> SeasonFolder:
    """Where the editions of a season are."""
    return SeasonFolder(Path(config.output), config.name, str(Season(config.season.name, year)))


def published_edition(config: MapConfiguration, year: int) -> Edition:
    """The edition that readers are pointed at.

    Raises:
        InputError: If there is none, or it was made from another plan than ``config`` describes.
    """
    folder = season_folder(config, year)
    edition = folder.current()
    if edition is None:
        hint = "finish it with 'stook map'" if folder.editions() else "make it with 'stook map'"
        raise InputError(f"{folder.folder}: no edition of this season is published; {hint}")
    wanted = plan_of(config, year, region_of(config), provisional=True).as_json()
    made_from = edition.manifest["plan"] | {"provisional": wanted["provisional"]}
    other = sorted(name for name, value in made_from.items() if wanted[name] != value)
    if other:
        raise InputError(
            f"{edition.folder}: the published edition was made from another configuration "
            f"({', '.join(other)} differ); run 'stook map', or put the configuration back"
        )
    return edition
