"""What a wrong input specification costs: Presto on the two sites, right, and wrong in scale or in order of bands.

A mistake is made throughout, in training and mapping (``wrong``, ``wrong_order``), where the head may make up for it,
or in mapping only, with the head of the right specification (``…_in_map``).
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from stook.models.encoder import Encoder
from stook.models.metrics import auc
from stook.models.specification import InputSpecification
from stook.models.training import Samples, fit_head, logits
from stook.models.weights import load_checkpoint
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.evidence.sites import DIRECTIONS, SHORT, WHOLE, Change, SiteSeason

COUNTS_PER_REFLECTANCE = 10_000


class Sites:
    """Both sites, read once, and Presto."""

    def __init__(self, scratch: Path, season: Change = WHOLE):
        self.presto = load_checkpoint("presto", SHARED / "weights/presto/default_model.pt")
        self.seasons = {site: SiteSeason.read(site, self.presto, scratch, season) for site in ("west", "east")}

    def seen(self, specification: InputSpecification, most_pixels: int | None = None) -> dict[str, Samples]:
        """The labelled pixels of both sites as Presto sees them through a specification."""
        encoder = with_specification(self.presto, specification)
        return {site: season.features(encoder, most_pixels).samples for site, season in self.seasons.items()}

    def transferred(self, fitted: Mapping[str, Samples], judged: Mapping[str, Samples]) -> dict[str, float]:
        """Direction -> AUC on the one site, of the fixed protocol's head that was fitted on the other."""
        found = {}
        for direction in DIRECTIONS:
            training = self.seasons[direction.trained].training
            head = fit_head(fitted[direction.trained], training.head, training.strengths[0], training.seed)
            samples = judged[direction.mapped]
            found[str(direction)] = auc(samples.labels, logits(head, samples.features))
        return found


def with_specification(encoder: Encoder, specification: InputSpecification) -> Encoder:
    """The same network behind another specification."""
    other = copy(encoder)
    other.specification = specification
    return other


def as_counts(right: InputSpecification) -> InputSpecification:
    """The mistake of not applying the scale of an archive: reflectance comes 10,000 times too large."""
    bands = (
        replace(band, divide=band.divide / COUNTS_PER_REFLECTANCE) if band.sensor == "sentinel2" else band
        for band in right.bands
    )
    return replace(right, bands=tuple(bands))


def reversed_bands(right: InputSpecification) -> InputSpecification:
    """The mistake of reading the bands in another order than the encoder's."""
    return replace(right, bands=right.bands[::-1])


MISTAKES = {
    "wrong": (as_counts, "reflectance given as counts, 10,000 times too large"),
    "wrong_order": (reversed_bands, "bands in reverse order"),
}


def run(scratch: Path, season: Change = WHOLE, most_pixels: int | None = None) -> Iterator[Figure]:
    """AUC at the labelled pixels of the other site, mean of both directions."""
    sites = Sites(scratch, season)
    right = sites.seen(sites.presto.specification, most_pixels)
    yield figure("right", sites.transferred(right, right), "Presto's own specification")
    for name, (mistake, words) in MISTAKES.items():
        wrong = sites.seen(mistake(sites.presto.specification), most_pixels)
        yield figure(name, sites.transferred(wrong, wrong), f"{words}, in training and mapping")
        yield figure(f"{name}_in_map", sites.transferred(right, wrong), f"{words}, in mapping only")


def figure(name: str, found: Mapping[str, float], words: str) -> Figure:
    """The mean of both directions, each of them in the note."""
    apart = ", ".join(f"{direction} {value:.3f}" for direction, value in found.items())
    return Figure(f"normalisation.auc.{name}", float(np.mean(list(found.values()))), f"{words}; {apart}")


EXPERIMENT = Experiment("normalisation", run, small={"season": SHORT, "most_pixels": 200}, needs_shared=True)
