"""Whether probabilities mean what they say: of what is called 70 %, seven in ten should be so."""

from dataclasses import dataclass

import numpy as np

from stook.models.errors import InputError

DEFAULT_BINS = 10


STEPS = 20  # characters of a row of the diagram
MARK = "┃"


@dataclass(frozen=True)
class Bin:
    """What was predicted between two probabilities, and what turned out.

    Attributes:
        low: Lowest probability that belongs here.
        high: Where the next bin begins; 1 belongs to the last one.
        predicted: Mean probability.
        observed: Share that is of the class.
        count: How many pixels or cells; never 0.
    """

    low: float
    high: float
    predicted: float
    observed: float
    count: int


def reliability(labels: np.ndarray, probability: np.ndarray, bins: int = DEFAULT_BINS) -> list[Bin]:
    """The reliability diagram (Murphy & Winkler 1977) as data, in equal steps of probability.

    Args:
        labels: bool [n], whether it is of the class.
        probability: float [n], 0…1.
        bins: Number of steps.

    Returns:
        The bins that hold anything, rising.

    Raises:
        InputError: If the lengths differ, a probability is not within 0…1 (NaN included), or there is no bin.
    """
    labels, probability = np.asarray(labels, bool), np.asarray(probability, float)
    if bins < 1:
        raise InputError(f"bins: {bins}; allowed are 1 and more")
    if labels.shape != probability.shape or labels.ndim != 1:
        raise InputError(
            f"reliability: {labels.shape} labels and {probability.shape} probabilities; allowed are as many"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("reliability: a probability is not a number from 0 to 1")
    numbers = np.minimum((probability * bins).astype(int), bins - 1)
    found = []
    for number in np.unique(numbers):
        here = numbers == number
        found.append(
            Bin(
                low=number / bins,
                high=(number + 1) / bins,
                predicted=float(probability[here].mean()),
                observed=float(labels[here].mean()),
                count=int(here.sum()),
            )
        )
    return found


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: mean distance of predicted and observed, weighted by count, 0…1; NaN if empty."""
    count = sum(one.count for one in bins)
    return sum(abs(one.predicted - one.observed) * one.count for one in bins) / count if count else float("nan")


def table(bins: list[Bin]) -> list[str]:
    """The bins as lines of a Markdown table, with the reliability diagram drawn in characters."""
    return [
        f"| probability | mean predicted | observed | count | observed as bar, predicted as {MARK} |",
        "|---|---|---|---|---|",
        *(
            f"| {one.low:.0%} to {one.high:.0%} | {one.predicted:.1%} | {one.observed:.1%} | {one.count} | "
            f"`{drawn(one)}` |"
            for one in bins
        ),
    ]


def drawn(one: Bin) -> str:
    """A bin as a row of the diagram: a bar as long as what was observed, a mark where the prediction lies."""
    bar = round(STEPS * one.observed)
    row = list("█" * bar + "·" * (STEPS - bar))
    row[min(int(STEPS * one.predicted), STEPS - 1)] = MARK
    return "".join(row)
