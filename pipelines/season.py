"""From a configuration and a year to the plan, the region and the editions of that season."""

from datetime import UTC, datetime
from pathlib import Path

from models.bundle import load_bundle
from models.errors import InputError
from pipelines.configuration import MapConfiguration
from transforms.editions import Edition, SeasonFolder
from transforms.plan import Plan, ProductPlan
from transforms.region import Region, read_region
from transforms.season import Season


def region_of(config: MapConfiguration) -> Region:
    """The region that the configuration names."""
    section = config.region
    return read_region(
        Path(section.file), section.id, parent_field=section.parent, name_field=section.name, layer=section.layer
    )


def plan_of(config: MapConfiguration, year: int, region: Region, provisional: bool) -> Plan:
    """The plan of one season; reads and checks the bundles.

    Raises:
        InputError: If a bundle is unusable or for another product, or a window is not over and not ``provisional``.
    """
    products = []
    for name, section in sorted(config.products.items()):
        bundle = load_bundle(Path(section.bundle))
        field = f"products.{name}"
        if bundle.provenance.product != name:
            raise InputError(f"{field}.bundle: {section.bundle} is for {bundle.provenance.product}, not {name}")
        periods = section.window.window().periods(year)
        if len(periods) > bundle.specification.most_periods:
            raise InputError(
                f"{field}.window.months: {len(periods)} is more than {bundle.provenance.encoder} can read; "
                f"at most {bundle.specification.most_periods}"
            )
        lacking = sorted(set(bundle.specification.sensors) - set(config.imagery.sources()))
        if lacking and not bundle.specification.masks_missing:
            raise InputError(f"imagery: {', '.join(lacking)} is needed by {section.bundle}")
        products.append(
            ProductPlan(
                product=name,
                bundle=section.bundle,
                bundle_hash=bundle.hash,
                calibrated=bundle.calibration is not None,
                periods=periods,
                minimum_observations=section.minimum_observations,
            )
        )
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
        products=tuple(products),
        units_hash=region.hash,
    )


def season_folder(config: MapConfiguration, year: int) -> SeasonFolder:
    """Where the editions of a season are."""
    return SeasonFolder(Path(config.output), config.name, str(Season(config.season.name, year)))


def published_edition(config: MapConfiguration, year: int) -> Edition:
    """The edition that readers are pointed at; raises InputError where there is none."""
    folder = season_folder(config, year)
    edition = folder.current()
    if edition is None:
        hint = "finish it with 'stook map'" if folder.editions() else "make it with 'stook map'"
        raise InputError(f"{folder.folder}: no edition of this season is published; {hint}")
    return edition
