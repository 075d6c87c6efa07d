"""``stook train``: a head on a frozen encoder, from labelled ground to a bundle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.bundle import Bundle, Conditions, Provenance, load_bundle
from models.errors import InputError
from models.heads import Calibration
from models.metrics import Estimate, evaluate
from models.presto import Presto
from models.training import Choice, choose_strength, fit_calibration, fit_head, joined, logits
from models.weights import CHECKPOINTS, load_checkpoint
from pipelines.configuration import EncoderSection, LabelsSection, TrainConfiguration
from pipelines.progress import Reporter
from transforms.features import FeatureSettings, LabelledFeatures, labelled_features
from transforms.infer import device
from transforms.labels import Classes, LabelledPixels, read_labels
from transforms.sources import Source


@dataclass(frozen=True)
class Place:
    """One labelled place as the encoder sees it."""

    section: LabelsSection
    labels: LabelledPixels
    seen: LabelledFeatures


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
    encoder, origin, sha256, licence = encoder_of(training.encoder)
    encoder.to(device())
    places = [see(config, section, encoder, reporter) for section in training.labels]
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
        place = see(config, section, encoder, reporter)
        shared = np.isin(place.seen.samples.blocks, samples.blocks)
        if shared.any():
            raise InputError(
                f"training.held_out: {section.file}: {shared.sum()} pixels are in {training.block_m:g} m blocks "
                "that were trained on; held-out places must lie elsewhere"
            )
        scores = torch.as_tensor(logits(head, place.seen.samples.features))
        probability = (calibration or Calibration()).probability(scores).numpy()
        held_out[name_of(section)] = evaluate(place.seen.samples.labels, probability, place.seen.parcels)
    licences = "; ".join(dict.fromkeys([licence, *(section.licence for section in training.labels)]))
    card = model_card(config, origin, licences, places, choice, strength, calibration, held_out)
    trained_on = "; ".join(name_of(section) for section in training.labels)
    provenance = Provenance(training.product, origin, sha256, licences, trained_on, card)
    folder = Path(training.bundle)
    absent = frozenset.intersection(*(place.seen.absent_bands for place in places))
    conditions = Conditions(
        months=tuple(period.month for period in training.window.window().periods(training.labels[0].year)),
        absent_bands=tuple(sorted(absent & set(encoder.specification.band_names))),
        cloud_dilation_px=config.composite.cloud_dilation_px,
    )
    Bundle(encoder.cpu(), head, calibration, conditions, provenance).save(folder)
    bundle = load_bundle(folder)
    reporter.say("bundle_written", f"wrote {folder} ({bundle.hash[:12]})", bundle=str(folder), hash=bundle.hash)
    return TrainResult(bundle, strength, choice.scores if choice else {}, held_out)


def encoder_of(section: EncoderSection) -> tuple[Presto, str, str | None, str]:
    """The encoder, what it is called, the hash of its published file, its licence."""
    if section.bundle is not None:
        bundle = load_bundle(Path(section.bundle))
        return bundle.encoder, bundle.provenance.encoder, bundle.provenance.encoder_sha256, bundle.provenance.licence
    name = str(section.name)
    encoder = load_checkpoint(name, Path(str(section.weights)))
    return encoder, name, CHECKPOINTS[name].sha256, f"encoder {CHECKPOINTS[name].licence}"


def see(config: TrainConfiguration, section: LabelsSection, encoder: Presto, reporter: Reporter) -> Place:
    """Read the labels of a place and embed its labelled pixels."""
    training = config.training
    classes = Classes(tuple(section.positive), tuple(section.negative))
    parcels = Path(section.parcels) if section.parcels else None
    labels = read_labels(Path(section.file), classes, section.field, parcels).thinned(
        training.most_pixels, training.seed
    )
    sources: dict[str, Source] = config.imagery.sources()
    settings = FeatureSettings(
        sources=sources,
        periods=training.window.window().periods(section.year),
        cloud_dilation_px=config.composite.cloud_dilation_px,
        minimum_observations=training.minimum_observations,
        readers=config.run.readers,
        batch_pixels=config.run.batch_pixels,
    )
    seen = labelled_features(labels, encoder, settings, training.block_m)
    positive = int(seen.samples.labels.sum())
    text = f"{name_of(section)}: {len(seen.samples.labels)} labelled pixels, {positive} of the class"
    reporter.say("place_read", text, pixels=len(seen.samples.labels), positive=positive, unseen=seen.unseen)
    return Place(section, labels, seen)


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
