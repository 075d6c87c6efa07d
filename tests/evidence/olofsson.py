"""The worked example of Olofsson et al. 2014, section 5 and table 8: change in a forest mapped by Landsat."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stook.transforms.estimators.accuracy import Assessment, assessed
from stook.transforms.estimators.design import Design, Stratum
from stook.transforms.estimators.interval import Interval
from tests.evidence.figure import Experiment, Figure

PIXEL_HA = 0.09
PIXELS = {
    "deforestation": 200_000,
    "forest gain": 150_000,
    "stable forest": 3_200_000,
    "stable non-forest": 6_450_000,
}
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])  # of map class, of reference class


def example(interval: Interval = "normal") -> Assessment:
    """The estimates in hectares; the paper's intervals are normal throughout, and without finite populations."""
    strata = tuple(Stratum(name, pixels * PIXEL_HA) for name, pixels in PIXELS.items())
    mapped, reference = (np.repeat(axis.ravel(), COUNTS.ravel()) for axis in np.indices(COUNTS.shape))
    return assessed(Design(strata, mapped), mapped, reference, tuple(PIXELS), interval)


def run(scratch: Path) -> Iterator[Figure]:
    """What the paper publishes, then the interval that we would publish of the same points."""
    published, chosen = example(), example("chosen").areas["deforestation"]
    deforestation = published.areas["deforestation"]
    yield Figure("olofsson.deforestation_ha", deforestation.value, "published 21,158; the map's pixels say 18,000")
    yield Figure("olofsson.ci_ha", deforestation.margin, "± of the normal interval; published 6,158")
    yield Figure("olofsson.overall_accuracy", published.overall.value, "published 0.947")
    note = f"of the interval that we publish, as {chosen.warning}"
    yield Figure("olofsson.chosen_low_ha", chosen.low, f"lower end {note}")
    yield Figure("olofsson.chosen_high_ha", chosen.high, f"upper end {note}")


EXPERIMENT = Experiment("olofsson", run)
