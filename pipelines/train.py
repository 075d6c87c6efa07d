"""``stook train``: a head on a frozen encoder, from labelled ground to a bundle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stook.models.bundle import Bundle, Conditions, Provenance, load_bundle
from stook.models.choices import Precision
from stook.models.heads import Calibration
from stook.models.inference import Embedder
from stook.models.measured import MeasuredClass
from stook.models.tasks import ClassTask
from stook.models.training import Choice, Samples, choose_strength, fit_calibration, fit_head, joined, logits
from stook.pipelines.card import model_card
from stook.pipelines.labelled import (
    features_of,
    labels_of,
    layout_of,
    name_of,
    require_elsewhere,
    require_never_seen,
    require_own_names,
    see,
)
from stook.pipelines.origin import origin_of
from stook.pipelines.progress import Reporter
from stook.pipelines.training_configuration import TrainConfiguration

CHECKED_PIXELS = 1000  # of a place, in two precisions


@dataclass(frozen=True)
class TrainResult:
    """What a training came to.

    Attributes:
        bundle: As written.
        strength: The C that was used.
        scores: Candidate C -> mean AUC over held-out blocks; empty if there was only one.
        cross_validated: How good heads were on the blocks of the training places that they were not fitted on; None
            where places are held out, or nothing was cross-validated.
        held_out: Held-out place -> how good the head is there.
    """

    bundle: Bundle
    strength: float
    scores: dict[float, float]
    cross_validated: MeasuredClass | None
    held_out: dict[str, MeasuredClass]


def run_training(config: TrainConfiguration, reporter: Reporter) -> TrainResult:
    """Train the head that ``config`` describes and write its bundle.

    Raises:
        InputError: If labels, imagery, weights or settings are unusable, or two held-out places have one name.
        UnreachableError: If an archive does not answer.
    """
    training = config.training
    require_own_names(training.held_out)
    origin = origin_of(training.encoder)
    embedder = Embedder(origin.encoder, batch=config.run.batch)
    places = [see(config, section, embedder, reporter) for section in training.labels]
    samples = joined([place.seen.samples for place in places])
    choice = None
    strength = training.strengths[0]
    if len(training.strengths) > 1 or training.calibrate:
        choice = choose_strength(samples, training.head, training.strengths, training.seed, training.balancing)
        strength = choice.strength
        reporter.say("strength_chosen", f"C = {strength:g} by blocked cross-validation", scores=choice.scores)
    head = fit_head(samples, training.head, strength, training.seed, training.balancing)
    calibration = fit_calibration(choice, samples.labels) if training.calibrate and choice else None
    held_out = {}
    for section in training.held_out:
        place = see(config, section, embedder, reporter)
        require_elsewhere(section, place.seen.samples.blocks, samples.blocks, training.block_m)
        require_never_seen(section, place.chips, origin.seen)
        scores, truth = logits(head, place.seen.samples.features), place.seen.samples.labels
        held_out[name_of(section)] = measured(scores, calibration, truth, place.seen.parcels)
    crossed = cross_validated(choice, calibration, samples) if choice and not held_out else None
    licences = "; ".join(dict.fromkeys([origin.licence, *(section.licence for section in training.labels)]))
    card = model_card(config, origin, licences, places, choice, strength, calibration, crossed, held_out)
    trained_on = origin.trained_on_too("; ".join(name_of(section) for section in training.labels))
    provenance = Provenance(training.product, origin.name, origin.sha256, licences, trained_on, card, origin.seen)
    specification = origin.encoder.specification
    absent = frozenset.intersection(*(place.absent for place in places)) & set(specification.band_names)
    layout = layout_of(training, origin.encoder)
    window = training.window.window()
    bundle = Bundle(
        encoder=origin.encoder.cpu(),
        task=ClassTask(head, calibration),
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
    return TrainResult(bundle, strength, choice.scores if choice else {}, crossed, held_out)


def measured(
    scores: np.ndarray, calibration: Calibration | None, labels: np.ndarray, groups: np.ndarray
) -> MeasuredClass:
    """How good logits [pixel] are, with intervals from resampling groups int [pixel]."""
    probability = (calibration or Calibration()).probability(torch.as_tensor(scores)).numpy()
    return MeasuredClass.of(probability, labels, groups)


def cross_validated(choice: Choice, calibration: Calibration | None, samples: Samples) -> MeasuredClass:
    """How good heads were on blocks that they were not fitted on."""
    known = np.isfinite(choice.held_out_logits)
    return measured(choice.held_out_logits[known], calibration, samples.labels[known], samples.blocks[known])


def precision_loss(config: TrainConfiguration, bundle: Bundle, precision: Precision) -> float:
    """By how much a lower precision changes a probability at most, on labelled pixels of the first place."""
    section = config.training.labels[0].model_copy(update={"embeddings": None})
    labels = labels_of(section).thinned(CHECKED_PIXELS, config.training.seed)
    probabilities = []
    for each in ("float32", precision):
        embedder = Embedder(bundle.encoder, batch=config.run.batch, precision=each)
        seen, _ = features_of(config, section, labels, embedder)
        probabilities.append(bundle.task.shares(torch.as_tensor(seen.samples.features)))
    bundle.encoder.cpu()
    return float((probabilities[0] - probabilities[1]).abs().max())
