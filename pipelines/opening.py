"""Opening an edition: its inputs are frozen, its models described, its empty maps created."""

from dataclasses import asdict, dataclass

from stook.models.checkpoints import CHECKPOINTS
from stook.models.inference import Embedder
from stook.pipelines.progress import Reporter
from stook.transforms.backoff import BackOff
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.kept_models import keep_model
from stook.transforms.editions.lease import Lease
from stook.transforms.editions.plan import EMBEDDING, Plan, ProductPlan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.encoding.encodings import PictureEncoding, Quantisation
from stook.transforms.ground.geodesy import widened
from stook.transforms.ground.region import Region
from stook.transforms.imagery.catalog import is_simulated
from stook.transforms.imagery.freeze import Search, find_inputs, require_bands
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.statistics.readings import explained
from stook.transforms.tiles.quantisation import fit_quantisation

AND = "; "  # between licences


def open_edition(
    folder: SeasonFolder,
    plan: Plan,
    region: Region,
    reporter: Reporter,
    frozen: Edition | None = None,
    rounded_as: Edition | None = None,
    refreshes: bool = False,
    carries: bool = True,
    backoff: BackOff | None = None,
    lease: Lease | None = None,
) -> Edition:
    """Freeze the inputs of a new edition and create its empty maps.

    Args:
        folder: Of the season, whose lease the caller has.
        plan: What is to be made.
        region: Where.
        reporter: Told what is found.
        frozen: An edition of the same plan whose inputs are taken instead of searching the archives.
        rounded_as: An edition of the same plan; feature vectors are brought to eight bits as its are, for otherwise
            none of them could be taken over. It is found out anew if None.
        refreshes: Whether it was asked for by name; kept with the edition, so that a run that was stopped can go on.
        carries: Whether unchanged tiles are taken over from the published edition.
        backoff: How patiently archives are asked.
        lease: Of the season; None where nobody else knows of the folder.

    Raises:
        UnreachableError: If another run has taken the season over meanwhile, see ``Lease.say``.
    """
    tiles = region.tiles(plan.grid)
    if frozen is None:
        reporter.say("search_started", f"{len(tiles)} tiles; searching the archives", tiles=len(tiles))
    inputs, absent, notes = searched(plan, region, reporter, backoff) if frozen is None else search_of(frozen)
    simulated = simulated_sensors(plan, frozen)
    told = describe_models(plan, absent)
    licences = {name: facts.licence for name, facts in told.items()}
    quantisation = quantisation_of(plan, region, inputs, absent, backoff, rounded_as)
    with folder.opening(plan) as (edition, manifest):
        if quantisation is not None:
            manifest["quantisation"] = asdict(quantisation)
            plan = plan.quantised(quantisation)
        for product in plan.products:
            keep_model(folder, product)
        inputs.write(edition.inputs)
        region.write(edition.units)
        made = {derived.product: explained(derived, plan) for derived in plan.derived}
        map_store.create(edition.maps, plan, tiles, {"licences": licences}, made)
        manifest |= {
            "tiles": [tile.name for tile in tiles],
            "absent_bands": sorted(absent),
            "calibrated": {name: facts.calibrated for name, facts in told.items()},
            "licences": licences,
            "scenes": len(inputs),
            "search_notes": list(notes),
            "simulated": simulated,
            "refreshes": refreshes,
            "carries": carries,
        }
        if lease is not None:
            lease.say()  # the run that has taken over sweeps this folder, and a manifest would make it an edition
    if absent:
        names = ", ".join(sorted(absent))
        reporter.say("bands_absent", f"the archives lack {names}: masked for the encoder", bands=sorted(absent))
    opened = Edition(folder.folder / manifest["edition"])
    reporter.say("edition_opened", f"opened edition {opened.id}", edition=opened.id, scenes=manifest["scenes"])
    return opened


def searched(plan: Plan, region: Region, reporter: Reporter, backoff: BackOff | None) -> Search:
    """Search the archives for the scenes of a plan; tells what was left out."""
    search = find_inputs(plan.sources, widened(region.bounds, plan.reach_m), plan.spans, backoff)
    for note in search.notes:
        reporter.say("search_note", note)
    return search


def search_of(edition: Edition) -> Search:
    """The search that an edition was opened with."""
    manifest = edition.manifest
    notes = tuple(manifest.get("search_notes", ()))
    return Search(Inputs.read(edition.inputs), frozenset(manifest["absent_bands"]), notes)


def simulated_sensors(plan: Plan, frozen: Edition | None = None) -> list[str]:
    """Sensors read whose scenes are simulated: as an edition has it whose inputs are taken, or as catalogues say."""
    known: list[str] | None = frozen.manifest.get("simulated") if frozen is not None else None
    if known is not None:
        return known
    return sorted(sensor for sensor in plan.spans if is_simulated(plan.sources[sensor]))


def quantisation_of(
    plan: Plan,
    region: Region,
    inputs: Inputs,
    absent: frozenset[str],
    backoff: BackOff | None = None,
    rounded_as: Edition | None = None,
) -> Quantisation | None:
    """How vectors are brought to eight bits, if this edition stores them so; see ``open_edition``."""
    [first, *_] = plan.products
    encoding = first.encoding
    if first.product != EMBEDDING or isinstance(encoding, PictureEncoding) or encoding.storage != "int8":
        return None
    found = rounded_as.manifest.get("quantisation") if rounded_as is not None else None
    if found is not None:
        return Quantisation(tuple(found["offset"]), tuple(found["spread"]))
    return fit_quantisation(plan, encoding, region, inputs, absent, Embedder(first.model.encoder()), backoff)


@dataclass(frozen=True)
class ModelFacts:
    """What an edition must say of a model, or of the models behind a map.

    Attributes:
        licence: Of encoder and training labels.
        calibrated: Whether its probabilities may be summed to hectares.
    """

    licence: str
    calibrated: bool


def describe_models(plan: Plan, absent: frozenset[str]) -> dict[str, ModelFacts]:
    """Product -> the facts of the models behind it; raises as ``describe_model``."""
    told = {product.product: describe_model(product, absent) for product in plan.products}
    for derived in plan.derived:
        told[derived.product] = joined([told[name] for name in derived.inputs])
    return told


def describe_model(product: ProductPlan, absent: frozenset[str]) -> ModelFacts:
    """The facts of a product's model; raises InputError if the archives lack what it cannot do without."""
    if product.product == EMBEDDING:
        encoder, name = product.model.encoder(), product.model.checkpoint
        require_bands(encoder.specification, name or encoder.family, absent)
        licence = CHECKPOINTS[name].told if name else product.model.bundle().provenance.licence
        return ModelFacts(licence, calibrated=False)
    bundle = product.model.bundle()
    require_bands(bundle.specification, bundle.provenance.encoder, absent)
    if bundle.specification.of_pictures:
        # One date's probability is calibrated; what several dates make of it, in cells that somebody pictured, is not.
        return ModelFacts(bundle.provenance.licence, calibrated=False)
    # A calibration holds for what the head was trained on; without a band its percents are other percents.
    unseen = absent & set(bundle.specification.band_names) - set(bundle.conditions.absent_bands)
    return ModelFacts(bundle.provenance.licence, bundle.calibrated and not unseen)


def joined(inputs: list[ModelFacts]) -> ModelFacts:
    """The facts of a map that is made from others, each licence once; its codes are no probabilities."""
    licences = dict.fromkeys(licence for facts in inputs for licence in facts.licence.split(AND))
    return ModelFacts(AND.join(licences), calibrated=False)
