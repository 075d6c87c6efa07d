"""From a configuration and a year to the plan, the region and the editions of that season."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from stook.models.bundle import Bundle
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.source import ModelSource
from stook.models.tasks import QuantileTask
from stook.pipelines.configuration import (
    ClassSection,
    EmbeddingsSection,
    MapConfiguration,
    PilesSection,
    ProductSection,
)
from stook.pipelines.sections import ProductName
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import EMBEDDING, Plan, ProductPlan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.encoding.encodings import Encoding, PictureEncoding
from stook.transforms.ground.region import Region, read_region
from stook.transforms.imagery.season import Season

Planner = Callable[[MapConfiguration, int], tuple[ProductPlan, ...]]
# What a plan keeps of products that are made from maps, in the words of the configuration.
SETTINGS = {
    "farmed": "farmed_cells or the thresholds it is made with",
    "smoothing": "the smoothing of cropland or its threshold",
}
MOST_PRECISION_LOSS = 0.01  # of a probability: what a lower precision may change at most, when it was checked


def region_of(config: MapConfiguration) -> Region:
    """The region that the configuration names."""
    section = config.region
    return read_region(
        section.file, section.id, parent_field=section.parent, name_field=section.name, layer=section.layer
    )


def plan_of(
    config: MapConfiguration, year: int, region: Region, provisional: bool, planned: Planner | None = None
) -> Plan:
    """The plan of one season; reads and checks its models.

    Args:
        config: The configuration.
        year: Harvest year.
        region: As configured.
        provisional: Whether a window need not be over.
        planned: Which products; the configured maps if absent.

    Raises:
        InputError: If a model is unusable, or a window is not over and not ``provisional``.
    """
    made = (planned or map_products)(config, year)
    names = {product.product for product in made}
    plan = Plan(
        name=config.name,
        season=Season(config.season.name, year),
        provisional=provisional,
        grid=config.grid.grid(),
        sources=config.imagery.sources(),
        cloud_dilation_px=config.composite.cloud_dilation_px,
        products=made,
        units_hash=region.hash,
        smoothing=config.products.smoothing if "cropland" in names else None,
        farmed=config.products.farmed if {"cropland", "harvest_piles"} <= names else None,
    )
    unfinished = max(period.end for period in plan.periods) > datetime.now(UTC)
    if unfinished and not provisional:
        raise InputError(f"--year {year}: the window of this season is not over yet; --provisional maps it as it is")
    return replace(plan, provisional=unfinished)


def map_products(config: MapConfiguration, year: int) -> tuple[ProductPlan, ...]:
    """How the configured maps are made; reads and checks the bundles.

    Raises:
        InputError: If there are none, or a bundle is unusable, or for another product or another window.
    """
    if not config.products.maps:
        raise InputError("products: is empty; 'stook map' needs at least one")
    stored = embeddings_folder(config, year).current() if config.embeddings else None
    embeddings = stored.plan.products[0].encoding if stored else None
    return tuple(product_plan(name, config, year, embeddings) for name in config.products.maps)


def embedding_products(config: MapConfiguration, year: int) -> tuple[ProductPlan, ...]:
    """How the configured feature vectors are made; raises InputError if there are none, or the encoder is unusable."""
    if config.embeddings is None:
        raise InputError("embeddings: is missing; 'stook embed' needs to know the encoder")
    return (embedding_plan(config.embeddings, config, year),)


def embedding_plan(section: EmbeddingsSection, config: MapConfiguration, year: int) -> ProductPlan:
    """How feature vectors are made: of every cell with imagery, whatever number of observations heads ask for."""
    source = section.encoder.source()
    encoder = source.encoder()
    encoding = Encoding.of(encoder, section.window.window(), year, section.stride_px, storage=section.storage)
    require_suited(encoder, encoding, config, "embeddings.encoder")
    return ProductPlan(EMBEDDING, source, encoding.encoder, encoding, minimum_observations=0)


def product_plan(
    name: ProductName, config: MapConfiguration, year: int, embeddings: Encoding | PictureEncoding | None = None
) -> ProductPlan:
    """How one product is made, its bundle checked against the configuration.

    Args:
        name: Of the product.
        config: The configuration.
        year: Harvest year.
        embeddings: What is stored and published; a product of the same encoding takes on its rounding, so that tiles
            of which nothing is stored, or something else, give the same map as the others.

    Raises:
        InputError: If the bundle is unusable, for another product, or was trained on another window or cloud mask.
    """
    section = config.products.maps[name]
    source = ModelSource(section.bundle)
    bundle = source.bundle()
    require_conditions(name, section, bundle)
    seen = picture_encoding if isinstance(section, PilesSection) else composite_encoding
    encoding = seen(name, config, year, bundle)
    if isinstance(encoding, Encoding):
        encoding = rounded_as(embeddings, encoding)
    quantiles = bundle.task.head.quantiles if isinstance(bundle.task, QuantileTask) else ()
    made = ProductPlan(name, source, bundle.hash, encoding, section.minimum_observations, quantiles)
    return replace(made, combination=section.combination) if isinstance(section, PilesSection) else made


def rounded_as(embeddings: Encoding | PictureEncoding | None, encoding: Encoding) -> Encoding:
    """An encoding with the rounding of stored vectors, if those are of the same."""
    if not isinstance(embeddings, Encoding):
        return encoding
    if replace(encoding, absent_bands=()) != embeddings.exact:
        return encoding
    return replace(encoding, storage=embeddings.storage, quantisation=embeddings.quantisation)


def require_conditions(name: ProductName, section: ProductSection, bundle: Bundle) -> None:
    """Raise InputError unless a bundle is for the product, its window and its precision."""
    trained, window = bundle.conditions, section.window.window()
    if bundle.provenance.product != name:
        raise InputError(f"products.{name}.bundle: {section.bundle} is for {bundle.provenance.product}, not {name}")
    if (window.start_month, window.months) != (trained.start_month, trained.months):
        raise InputError(
            f"products.{name}.window: {window.months} months from month {window.start_month}, but {section.bundle} was "
            f"trained on {trained.months} from month {trained.start_month}"
        )
    loss = bundle.precision_loss.get(section.precision, 0.0 if section.precision == "float32" else None)
    if loss is None or loss > MOST_PRECISION_LOSS:
        known = "never checked" if loss is None else f"off by {loss:.3f} of a probability"
        raise InputError(
            f"products.{name}.precision: {section.precision} is {known} for {section.bundle}; allowed are float32, or "
            f"what training.precisions has checked to change no probability by more than {MOST_PRECISION_LOSS:g}"
        )


def composite_encoding(name: ProductName, config: MapConfiguration, year: int, bundle: Bundle) -> Encoding:
    """How a bundle's encoder sees composites; raises InputError if the configured imagery or tiles do not suit it."""
    section, trained = config.products.maps[name], bundle.conditions
    if config.composite.cloud_dilation_px != trained.cloud_dilation_px:
        raise InputError(
            f"composite.cloud_dilation_px: {config.composite.cloud_dilation_px}, but {section.bundle} was trained with "
            f"{trained.cloud_dilation_px}"
        )
    if config.imagery.sentinel2 is None and section.minimum_observations > 0:
        raise InputError(
            f"products.{name}.minimum_observations: {section.minimum_observations} clear observations are asked for "
            "without imagery.sentinel2; allowed is 0"
        )
    encoding = Encoding.of(
        bundle.encoder, section.window.window(), year, trained.stride_px, trained.absent_bands, section.precision
    )
    require_suited(bundle.encoder, encoding, config, f"products.{name}.bundle")
    return encoding


def picture_encoding(name: ProductName, config: MapConfiguration, year: int, bundle: Bundle) -> PictureEncoding:
    """How a bundle's encoder sees pictures; raises InputError if the configured imagery or tiles do not suit it."""
    section, cell_m = config.products.maps[name], bundle.conditions.cell_m
    field = f"products.{name}.bundle: {section.bundle}"
    if not bundle.specification.of_pictures:
        raise InputError(f"{field} does not see pictures; {name} are found in pictures of metre resolution")
    if config.imagery.rgb is None:
        raise InputError(f"{field} sees pictures of {bundle.specification.resolution_m:g} m; imagery.rgb is missing")
    profile = config.imagery.sources()["rgb"].archive
    without = [band for band in bundle.specification.band_names if band not in profile.assets]
    if without:
        raise InputError(f"{field} sees {', '.join(without)}, which imagery.rgb.profile {profile.name} has not")
    if cell_m is None:
        raise InputError(f"{field} sees pictures, but does not say how large its cells are; train it anew")
    encoding = PictureEncoding.of(bundle.encoder, section.window.window(), year, cell_m, section.precision)
    grid = config.grid.grid()
    if grid.tile_px % encoding.cell_px:
        raise InputError(
            f"grid.tile_px: {grid.tile_px}; cells of {name} are {encoding.cell_px} pixels wide and must divide it"
        )
    return encoding


def require_suited(encoder: Encoder, encoding: Encoding, config: MapConfiguration, field: str) -> None:
    """Raise InputError unless the configured tiles are what an encoder of composites needs."""
    specification, grid = encoder.specification, config.grid.grid()
    if specification.of_pictures:
        raise InputError(f"{field}: {encoder.family} sees pictures, which are for harvest_piles")
    if specification.resolution_m != grid.resolution_m:
        raise InputError(f"{field}: {encoder.family} needs pixels of {specification.resolution_m:g} m; there are 10 m")
    encoding.layout.require_fit(grid)


def thresholds_of(config: MapConfiguration) -> dict[str, int]:
    """Product -> percent from which a cell counts as its class; a cell that has a feature vector counts as 100."""
    classes = {name: made for name, made in config.products.maps.items() if isinstance(made, ClassSection)}
    return {EMBEDDING: 100} | {name: section.threshold for name, section in classes.items()}


def season_folder(config: MapConfiguration, year: int) -> SeasonFolder:
    """Where the editions of a season are; its samples, estimates and reports are in the same folder."""
    return SeasonFolder(config.output, config.name, str(Season(config.season.name, year)))


def embeddings_folder(config: MapConfiguration, year: int) -> SeasonFolder:
    """Where the editions that hold a season's feature vectors are."""
    return season_folder(config, year).embeddings


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
    wanted = plan_of(config, year, region_of(config), provisional=True).exact.as_json()
    made_from = edition.plan.exact.as_json() | {"provisional": wanted["provisional"]}
    other = sorted(SETTINGS.get(name, name) for name, value in made_from.items() if wanted[name] != value)
    if other:
        part = ": a threshold that maps are made at is part of the edition"
        raise InputError(
            f"{edition.folder}: the published edition was made from another configuration "
            f"({', '.join(other)} differ); run 'stook map', or put the configuration back"
            f"{part if set(other) & set(SETTINGS.values()) else ''}"
            f"{': stook was upgraded since' if 'processing' in other else ''}"
        )
    return edition
