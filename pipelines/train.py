"""``stook train``: a head on a frozen encoder, from labelled ground to a bundle."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from models.bundle import Bundle, Conditions, Provenance, load_bundle
from models.checkpoints import CHECKPOINTS
from models.encoder import Encoder
from models.errors import InputError
from models.heads import Calibration
from models.inference import Embedder, Precision
from models.metrics import Estimate, evaluate
from models.training import Choice, choose_strength, fit_calibration, fit_head, joined, logits
from pipelines.configuration import EncoderSection, LabelsSection, TrainConfiguration, TrainingSection
from pipelines.progress import Reporter
from transforms.chips import ChipLayout
from transforms.editions import POINTER, Edition
from transforms.embeddings import EmbeddingStore
from transforms.encode import TileView
from transforms.features import LabelledFeatures, SeasonReader, SeasonSettings, labelled_features, training_grid
from transforms.freeze import require_bands
from transforms.grid import Tile
from transforms.labels import Classes, LabelledPixels, read_labels
from transforms.plan import Encoding
from transforms.store import read_json
from transforms.view import encoded_view

CHECKED_PIXELS = 1000  # of a place, in two precisions


@dataclass(frozen=True)
class Place:
    """One labelled place as the encoder sees it, and the bands that its archives lack."""

    section: LabelsSection
    labels: LabelledPixels
    seen: LabelledFeatures
    absent: frozenset[str]


@dataclass(frozen=True)
class TrainResult:
    """What a training came to.

    Attributes:
        bundle: As written.
        strength: The C that was used.
        scores: Candidate C -> mean AUC over held-out blocks; empty if there was only one.
        held_out: Held-out place -> metric -> estimate.
    """

    bundle: Bundle
    strength: float
    scores: dict[float, float]
    held_out: dict[str, dict[str, Estimate]]


def run_training(config: TrainConfiguration, reporter: Reporter) -> TrainResult:
    """Train the head that ``config`` describes and write its bundle.

    Raises:
        InputError: If labels, imagery, weights or settings are unusable.
        UnreachableError: If an archive does not answer.
    """
    training = config.training
    origin = origin_of(training.encoder)
    embedder = Embedder(origin.encoder, batch=config.run.batch)
    places = [see(config, section, embedder, reporter) for section in training.labels]
    samples = joined([place.seen.samples for place in places])
    choice = None
    strength = training.strengths[0]
    if len(training.strengths) > 1 or training.calibrate:
        choice = choose_strength(samples, training.head, training.strengths, training.seed)
        strength = choice.strength
        reporter.say("strength_chosen", f"C = {strength:g} by blocked cross-validation", scores=choice.scores)
    head = fit_head(samples, training.head, strength, training.seed)
    calibration = fit_calibration(choice, samples.labels) if training.calibrate and choice else None
    held_out = {}
    for section in training.held_out:
        place = see(config, section, embedder, reporter)
        shared = np.isin(place.seen.samples.blocks, samples.blocks)
        if shared.any():
            raise InputError(
                f"training.held_out: {section.file}: {shared.sum()} pixels are in {training.block_m:g} m blocks "
                "that were trained on; held-out places must lie elsewhere"
            )
        scores = torch.as_tensor(logits(head, place.seen.samples.features))
        probability = (calibration or Calibration()).probability(scores).numpy()
        held_out[name_of(section)] = evaluate(place.seen.samples.labels, probability, place.seen.parcels)
    licences = "; ".join(dict.fromkeys([origin.licence, *(section.licence for section in training.labels)]))
    card = model_card(config, origin.name, licences, places, choice, strength, calibration, held_out)
    trained_on = "; ".join(name_of(section) for section in training.labels)
    provenance = Provenance(training.product, origin.name, origin.sha256, licences, trained_on, card)
    specification = origin.encoder.specification
    absent = frozenset.intersection(*(place.absent for place in places)) & set(specification.band_names)
    layout = layout_of(training, origin.encoder)
    window = training.window.window()
    bundle = Bundle(
        encoder=origin.encoder.cpu(),
        head=head,
        calibration=calibration,
        conditions=Conditions(
            start_month=window.start_month,
            months=window.months,
            stride_px=layout.stride_px,
            absent_bands=tuple(sorted(absent)),
            cloud_dilation_px=config.composite.cloud_dilation_px,
        ),
        provenance=provenance,
    )
    for precision in training.precisions:
        bundle.precision_loss[precision] = precision_loss(config, bundle, precision)
        text = f"{precision} changes no probability by more than {bundle.precision_loss[precision]:.4f}"
        reporter.say("precision_checked", text, precision=precision, loss=bundle.precision_loss[precision])
    folder = Path(training.bundle)
    bundle.save(folder)
    bundle = load_bundle(folder)
    reporter.say("bundle_written", f"wrote {folder} ({bundle.hash[:12]})", bundle=str(folder), hash=bundle.hash)
    return TrainResult(bundle, strength, choice.scores if choice else {}, held_out)


@dataclass(frozen=True)
class Origin:
    """An encoder and where it comes from.

    Attributes:
        encoder: In evaluation mode.
        name: Of the published checkpoint, or what the encoder of a bundle is.
        sha256: Of the published file; None where there is none, or it is not known.
        licence: In words.
    """

    encoder: Encoder
    name: str
    sha256: str | None
    licence: str


def origin_of(section: EncoderSection) -> Origin:
    """The configured encoder; raises InputError if it is unusable."""
    source = section.source()
    if source.checkpoint is None:
        bundle = source.bundle()
        made = bundle.provenance
        return Origin(bundle.encoder, made.encoder, made.encoder_sha256, made.licence)
    checkpoint = CHECKPOINTS[source.checkpoint]
    terms = "" if checkpoint.terms == "free" else f" ({checkpoint.terms} terms)"
    licence = f"encoder {checkpoint.licence}{terms}"
    return Origin(source.encoder(), checkpoint.name, checkpoint.sha256, licence)


def layout_of(training: TrainingSection, encoder: Encoder) -> ChipLayout:
    """How the encoder's chips lie."""
    return ChipLayout.of(encoder.specification, encoder.output, training.stride_px)


def see(config: TrainConfiguration, section: LabelsSection, embedder: Embedder, reporter: Reporter) -> Place:
    """Read the labels of a place and get the vectors of its labelled pixels."""
    labels = labels_of(config, section).thinned(config.training.most_pixels, config.training.seed)
    seen, absent = features_of(config, section, labels, embedder)
    positive = int(seen.samples.labels.sum())
    text = f"{name_of(section)}: {len(seen.samples.labels)} labelled pixels, {positive} of the class"
    reporter.say("place_read", text, pixels=len(seen.samples.labels), positive=positive, unseen=seen.unseen)
    return Place(section, labels, seen, absent)


def labels_of(config: TrainConfiguration, section: LabelsSection) -> LabelledPixels:
    """The labelled pixels of a place."""
    classes = Classes(tuple(section.positive), tuple(section.negative))
    parcels = Path(section.parcels) if section.parcels else None
    return read_labels(Path(section.file), classes, section.field, parcels)


def features_of(
    config: TrainConfiguration, section: LabelsSection, labels: LabelledPixels, embedder: Embedder
) -> tuple[LabelledFeatures, frozenset[str]]:
    """The vectors of labelled pixels, stored ones if the configuration names them, and the bands that were absent."""
    training, encoder = config.training, embedder.encoder
    layout = layout_of(training, encoder)
    window = training.window.window()
    if section.embeddings is not None:
        wanted = Encoding.of(encoder, window, section.year, training.stride_px)
        store = stored_vectors(section, wanted)
        grid, view, absent = store.plan.grid, store.view, frozenset(store.edition.manifest["absent_bands"])
        if store.plan.cloud_dilation_px != config.composite.cloud_dilation_px:
            raise InputError(
                f"composite.cloud_dilation_px: {config.composite.cloud_dilation_px}, but {section.embeddings} was made "
                f"with {store.plan.cloud_dilation_px}"
            )
    else:
        settings = SeasonSettings(
            sources=config.imagery.sources(),
            periods=window.periods(section.year, encoder.specification.period, encoder.specification.most_periods),
            cloud_dilation_px=config.composite.cloud_dilation_px,
            readers=config.run.readers,
        )
        grid = training_grid(layout.cell_px)
        reader = SeasonReader(encoder.specification, settings, labels.bounds, grid, layout.halo_px)
        require_bands(encoder.specification, encoder.family, reader.absent)
        absent = reader.absent
        everywhere = np.ones((grid.tile_px, grid.tile_px), bool)

        def view(tile: Tile) -> TileView:
            return encoded_view(reader.read(tile), embedder, layout, everywhere, absent)

    seen = labelled_features(
        labels, view, grid, layout.cell_px, encoder.output.width, training.minimum_observations, training.block_m
    )
    return seen, absent


def stored_vectors(section: LabelsSection, wanted: Encoding) -> EmbeddingStore:
    """The stored vectors of a place's season; raises InputError if there are none of that encoder and window."""
    folder = Path(str(section.embeddings))
    pointer = read_json(folder / POINTER)
    if pointer is None:
        raise InputError(f"{folder}: holds no published vectors; 'stook embed' makes them")
    edition = Edition(folder / pointer["edition"])
    store = EmbeddingStore(edition, edition.plan)
    found = store.product.encoding
    if replace(found, storage=None) != wanted:
        raise InputError(f"{edition.folder}: holds vectors of another encoder, window or stride than the training's")
    return store


def precision_loss(config: TrainConfiguration, bundle: Bundle, precision: Precision) -> float:
    """By how much a lower precision changes a probability at most, on labelled pixels of the first place."""
    section = config.training.labels[0].model_copy(update={"embeddings": None})
    labels = labels_of(config, section).thinned(CHECKED_PIXELS, config.training.seed)
    exact, lower = (
        bundle.probability(
            torch.as_tensor(
                features_of(config, section, labels, Embedder(bundle.encoder, batch=config.run.batch, precision=each))[
                    0
                ].samples.features
            )
        )
        for each in ("float32", precision)
    )
    bundle.encoder.cpu()
    return float((exact - lower).abs().max())


def name_of(section: LabelsSection) -> str:
    """A place and year in words."""
    return f"{Path(section.file).stem} {section.year}"


def model_card(
    config: TrainConfiguration,
    origin: str,
    licences: str,
    places: list[Place],
    choice: Choice | None,
    strength: float,
    calibration: Calibration | None,
    held_out: dict[str, dict[str, Estimate]],
) -> str:
    """The bundle's card, Markdown: data, places, method, and accuracy at places that training never saw."""
    training = config.training
    lines = [
        f"# {config.name}: {training.product}",
        "",
        f"Written by `stook train`. Encoder: {origin}, frozen. Licences: {licences}.",
        "",
        "## Trained on",
        "",
        "| labels | harvest year | pixels | of the class | west, south, east, north | licence |",
        "|---|---|---|---|---|---|",
    ]
    for place in places:
        section, samples = place.section, place.seen.samples
        bounds = ", ".join(f"{degrees:.4f}" for degrees in place.labels.bounds)
        lines.append(
            f"| {Path(section.file).name} | {section.year} | {len(samples.labels)} | {samples.labels.sum()} "
            f"| {bounds} | {section.licence} |"
        )
    lines += ["", "## Head", "", f"{training.head}, standardised features, C = {strength:g}, seed {training.seed}."]
    if choice is not None and len(choice.scores) > 1:
        tried = ", ".join(f"{c:g}: {score:.3f}" for c, score in choice.scores.items())
        lines.append(f"C was chosen among (mean AUC over held-out {training.block_m:g} m blocks) {tried}.")
    if calibration is None:
        lines.append("Not calibrated: the probabilities rank, their sums are not hectares.")
    else:
        lines.append(f"Platt scaling on held-out blocks: {calibration.slope:.4f} · logit {calibration.intercept:+.4f}.")
    lines += ["", "## Accuracy at places that were held out", ""]
    if not held_out:
        lines.append("No place was held out: nothing is claimed.")
    for place_name, metrics in held_out.items():
        lines += [f"{place_name}, with 95 % intervals from resampling whole parcels:", ""]
        lines += [f"- {metric}: {estimate}" for metric, estimate in metrics.items()]
    return "\n".join(lines) + "\n"
