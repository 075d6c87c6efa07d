"""The design-based estimators against a simulated population whose truth is known: bias and coverage of intervals.

The population is simulated: pixels with a class on the ground, a map with stated errors, ground without a map, a second
year, districts, and a share under roofs. Nothing of it is a real place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stook.transforms.estimators.accuracy import assessed
from stook.transforms.estimators.change import changed
from stook.transforms.estimators.design import Design, Stratum
from stook.transforms.estimators.domain import domain_area
from stook.transforms.estimators.error_matrix import NOT_MAPPED
from stook.transforms.estimators.interval import Estimate, Interval
from stook.transforms.estimators.shares import difference, domain_difference, regression
from tests.evidence.figure import Experiment, Figure
from tests.evidence.independent import NotInstalled, measured

SAMPLES = 2000
POINTS = 100  # per stratum
RARE_POINTS = 50
CLASSES = ("other", "cropland", "terraces")
OTHER, CROPLAND, TERRACES = range(3)
# Pixels of each map class, then those without a map; and the classes on the ground of each, in shares. The map misses a
# tenth of the cropland of the largest stratum and calls a quarter wrongly cropland.
PIXELS = {"other": 60_000, "cropland": 28_000, "terraces": 2_000, "not mapped": 10_000}
GROUND = {
    "other": (0.855, 0.13, 0.015),
    "cropland": (0.23, 0.74, 0.03),
    "terraces": (0.20, 0.20, 0.60),
    "not mapped": (0.70, 0.26, 0.04),
}
BECOMES_CROPLAND, CEASES = 0.12, 0.10
DISTRICT_SHARE = 0.35
# Share of the cells that a map calls empty and that hold roofs, and the map's noise there.
HAMLETS = {"hamlets": (0.015, 0.0), "hamlets.noisy": (0.015, 0.02), "hamlets.frequent": (0.05, 0.05)}
POPULATION = "simulated population of 100,000 pixels"


@dataclass(frozen=True)
class Population:
    """Simulated pixels, in order of their stratum; all arrays are [pixel].

    Attributes:
        strata: Map classes, then ground without a map; one hectare per pixel.
        stratum: Index of each.
        ground: Class on the ground.
        later: Whether cropland in the second year.
        district: Whether in the district.
        roofs: Share under roofs on the ground.
        mapped_roofs: By the map, which is too low for dense places.
        groups: Strata that are not the map's classes: map classes of two sides of the country, cut differently.
    """

    strata: tuple[Stratum, ...]
    stratum: np.ndarray
    ground: np.ndarray
    later: np.ndarray
    district: np.ndarray
    roofs: np.ndarray
    mapped_roofs: np.ndarray
    groups: np.ndarray = field(repr=False)

    @classmethod
    def simulated(cls, seed: int = 0) -> "Population":
        random = np.random.default_rng(seed)
        counts = np.array(list(PIXELS.values()))
        stratum = np.repeat(np.arange(len(counts)), counts)
        ground = np.concatenate(
            [random.permutation(np.repeat(np.arange(3), np.round(np.array(GROUND[n]) * c).astype(int)))
             for n, c in PIXELS.items()]
        )  # fmt: skip
        chance = random.random((4, len(stratum)))
        later = np.where(ground == CROPLAND, chance[0] >= CEASES, chance[0] < BECOMES_CROPLAND)
        roofs = np.where(chance[1] < 0.5, random.beta(1.2, 6, len(stratum)), 0.0)
        mapped = np.clip(0.7 * roofs + 0.05 * random.standard_normal(len(stratum)) + 0.02, 0, 1)
        mapped[stratum == len(counts) - 1] = 0.0
        strata = tuple(Stratum(name, float(count), int(count)) for name, count in PIXELS.items())
        # Cropland of the map lies mostly in the first group, but neither holds one class alone.
        groups = np.where(chance[3] < np.where(stratum == CROPLAND, 0.8, 0.25), 0, 1)
        return cls(strata, stratum, ground, later, chance[2] < DISTRICT_SHARE, roofs, mapped, groups)

    @property
    def city(self) -> np.ndarray:
        """bool [pixel], a district with hardly any cropland."""
        return self.district & ((self.ground != CROPLAND) | (np.arange(len(self.ground)) % 100 == 0))

    @property
    def wild(self) -> np.ndarray:
        """bool [pixel], a district half of which was not mapped."""
        unmapped = self.stratum == len(CLASSES)
        return np.where(unmapped, self.district, self.district & (np.arange(len(self.ground)) % 10 == 0))

    def held(self, place: np.ndarray) -> np.ndarray:
        """How much of each stratum lies in a place, float [stratum]."""
        return np.bincount(self.stratum, weights=place) / np.bincount(self.stratum)

    @property
    def map_class(self) -> np.ndarray:
        """int [pixel], ``NOT_MAPPED`` where there is no map."""
        return np.where(self.stratum < len(CLASSES), self.stratum, NOT_MAPPED)


@dataclass
class Repeated:
    """How an estimate fared against the truth, sample after sample."""

    truth: float
    values: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, estimate: Estimate) -> None:
        self.values.append(estimate.value)
        self.held.append(estimate.low <= self.truth <= estimate.high)
        self.widths.append(estimate.high - estimate.low)

    @property
    def bias_percent(self) -> float:
        return 100 * (float(np.nanmean(self.values)) / self.truth - 1)

    @property
    def bias_noise_percent(self) -> float:
        """What chance alone makes of ``bias_percent``: its standard error."""
        return 100 * float(np.nanstd(self.values)) / np.sqrt(len(self.values)) / abs(self.truth)

    @property
    def coverage(self) -> float:
        return float(np.mean(self.held))


def drawn(random: np.random.Generator, starts: np.ndarray, sizes: np.ndarray, points: int) -> np.ndarray:
    """Pixels of a simple random sample without replacement in each stratum, int [stratum * points]."""
    return np.concatenate(
        [start + random.choice(size, points, replace=False, shuffle=False)
         for start, size in zip(starts, sizes, strict=True)]
    )  # fmt: skip


def designs(
    strata: tuple[Stratum, ...], stratum: np.ndarray, points: int, samples: int, seed: int
) -> Iterator[tuple[Design, np.ndarray]]:
    """Samples of a population whose pixels have a stratum, each with its design and its pixels."""
    random = np.random.default_rng(seed)
    order = np.argsort(stratum, kind="stable")
    sizes = np.bincount(stratum)
    starts = np.cumsum(sizes) - sizes
    of_points = np.repeat(np.arange(len(sizes)), points)
    for _ in range(samples):
        yield Design(strata, of_points), order[drawn(random, starts, sizes, points)]


def by_map_class(population: Population, samples: int) -> dict[str, Repeated]:
    """Estimators on samples whose strata are the map's classes and ground without a map."""
    ground, map_mean = population.ground, float(population.mapped_roofs.mean())
    cropland, district = ground == CROPLAND, population.district
    districts = {"domain": district, "domain.city": population.city, "domain.unmapped": population.wild}
    repeated = {
        "stratified": Repeated(cropland.sum()),
        "stratified.users_accuracy": Repeated(cropland[population.stratum == CROPLAND].mean()),
        "stratified.producers_accuracy": Repeated(
            (population.stratum == CROPLAND)[cropland & (population.map_class != NOT_MAPPED)].mean()
        ),
        "difference": Repeated(population.roofs.mean()),
        "regression": Repeated(population.roofs.mean()),
        **{name: Repeated((cropland & place).sum()) for name, place in districts.items()},
        "domain.coverage": Repeated(population.roofs[district].mean()),
    }
    district_mean = float(population.mapped_roofs[district].mean())
    places = {
        name: (place, float(((population.stratum == CROPLAND) & place).sum()), population.held(place))
        for name, place in districts.items()
    }
    for design, at in designs(population.strata, population.stratum, POINTS, samples, seed=1):
        found = assessed(design, population.map_class[at], ground[at], CLASSES)
        repeated["stratified"].add(found.areas["cropland"])
        repeated["stratified.users_accuracy"].add(found.users["cropland"])
        repeated["stratified.producers_accuracy"].add(found.producers["cropland"])
        mapped_roofs, roofs = population.mapped_roofs[at], population.roofs[at]
        repeated["difference"].add(difference(design, map_mean, mapped_roofs, roofs))
        repeated["regression"].add(regression(design, map_mean, mapped_roofs, roofs))
        inside = district[at]
        mapped = population.stratum[at] == CROPLAND
        for name, (place, said, held) in places.items():
            repeated[name].add(domain_area(design, mapped, cropland[at], place[at], name, said, held))
        part = domain_difference(
            design, district_mean, mapped_roofs, roofs, inside, "district", held=population.held(district)
        )
        repeated["domain.coverage"].add(part)
    return repeated


def by_other_strata(population: Population, samples: int) -> dict[str, Repeated]:
    """Estimators on samples whose strata are not the map's classes, of two years."""
    cropland = population.ground == CROPLAND
    sizes = np.bincount(population.groups)
    strata = tuple(Stratum(f"group {n}", float(size), int(size)) for n, size in enumerate(sizes))
    repeated = {
        "indicator": Repeated(cropland.sum()),
        "indicator.producers_accuracy": Repeated(
            (population.stratum == CROPLAND)[cropland & (population.map_class != NOT_MAPPED)].mean()
        ),
        "change": Repeated(float(population.later.sum()) - cropland.sum()),
        "change.gain": Repeated((population.later & ~cropland).sum()),
        "change.loss": Repeated((cropland & ~population.later).sum()),
    }
    for design, at in designs(strata, population.groups, 2 * POINTS, samples, seed=2):
        found = assessed(design, population.map_class[at], population.ground[at], CLASSES)
        repeated["indicator"].add(found.areas["cropland"])
        repeated["indicator.producers_accuracy"].add(found.producers["cropland"])
        change = changed(design, cropland[at], population.later[at])
        repeated["change"].add(change.net)
        repeated["change.gain"].add(change.gain)
        repeated["change.loss"].add(change.loss)
    return repeated


def rare(population: Population, samples: int) -> Iterator[Figure]:
    """Coverage of the plain normal interval and of the chosen one, of a class that large strata hide a little of."""
    terraces = population.ground == TERRACES
    somewhere = population.map_class != NOT_MAPPED
    quantities: dict[str, tuple[float, Callable]] = {
        "rare": (terraces.sum(), lambda found: found.areas["terraces"]),
        "rare.producers_accuracy": (
            (population.stratum == TERRACES)[terraces & somewhere].mean(),
            lambda found: found.producers["terraces"],
        ),
    }
    plain = {name: Repeated(truth) for name, (truth, _) in quantities.items()}
    chosen = {name: Repeated(truth) for name, (truth, _) in quantities.items()}
    kinds: list[tuple[Interval, dict[str, Repeated]]] = [("normal", plain), ("chosen", chosen)]
    for design, at in designs(population.strata, population.stratum, RARE_POINTS, samples, seed=3):
        for interval, repeated in kinds:
            found = assessed(design, population.map_class[at], population.ground[at], CLASSES, interval)
            for name, (_, figure) in quantities.items():
                repeated[name].add(figure(found))
    share, hidden = terraces.mean(), (population.stratum == OTHER)[terraces].mean()
    note = (
        f"{share:.1%} of the ground, {hidden:.0%} of it in the largest stratum; {RARE_POINTS} points each; "
        f"{POPULATION}; {samples} stratified samples"
    )
    for name in quantities:
        wider = float(np.mean(chosen[name].widths) / np.mean(plain[name].widths))
        yield Figure(f"estimators.{name}.plain_ci_coverage", plain[name].coverage, f"normal interval; {note}")
        yield Figure(
            f"estimators.{name}.ci_coverage",
            chosen[name].coverage,
            f"chosen, {wider:.1f} times as wide; target ≥ 0.93; {note}",
        )


def hamlets(samples: int) -> Iterator[Figure]:
    """Coverage of Student's interval and of the chosen one, where the map calls some cells with roofs empty.

    Simulated: nine tenths of the cells are empty by the map, but for some noise, and a few of them hold a hamlet.
    """
    for name, (missed, noise) in HAMLETS.items():
        random = np.random.default_rng(4)
        stratum = np.repeat([0, 1], [90_000, 10_000])
        cells = len(stratum)
        hidden = (stratum == 0) & (random.random(cells) < missed)
        roofs = np.where(stratum == 1, random.beta(1.2, 6, cells), np.where(hidden, random.beta(2, 6, cells), 0.0))
        seen = np.where(stratum == 1, 0.9 * roofs, 0.0) + np.abs(noise * random.standard_normal(cells))
        mapped = np.clip(seen, 0, 1)
        strata = (Stratum("empty by the map", 90_000.0), Stratum("settled by the map", 10_000.0))
        kinds: tuple[Interval, Interval] = ("normal", "chosen")
        found = {kind: Repeated(float(roofs.mean())) for kind in kinds}
        for design, at in designs(strata, stratum, POINTS, samples, seed=5):
            for kind, repeated in found.items():
                repeated.add(difference(design, float(mapped.mean()), mapped[at], roofs[at], kind))
        note = (
            f"simulated: {missed:.1%} of the cells that the map calls empty hold roofs, its noise {noise:g}; {POINTS} "
            f"points in each of 2 strata; {samples} samples"
        )
        wider = float(np.mean(found["chosen"].widths) / np.mean(found["normal"].widths))
        plain, chosen = found["normal"].coverage, found["chosen"].coverage
        yield Figure(f"estimators.{name}.plain_ci_coverage", plain, f"Student's interval; {note}")
        told = f"Stringer's bound where few points differ, {wider:.1f} times as wide; target ≥ 0.93; {note}"
        yield Figure(f"estimators.{name}.ci_coverage", chosen, told)


def run(scratch: Path, samples: int = SAMPLES, others: bool = True) -> Iterator[Figure]:
    """Pixel counting, then every estimator, then where plain intervals fail, then ``others``: implementations."""
    population = Population.simulated()
    truth = int((population.ground == CROPLAND).sum())
    counted = 100 * (PIXELS["cropland"] / truth - 1)
    yield Figure(
        "estimators.pixel_count.bias_percent", counted, "cropland pixels of the simulated map against the truth"
    )
    for name, repeated in (by_map_class(population, samples) | by_other_strata(population, samples)).items():
        note = f"{POPULATION}; {samples} stratified samples"
        noise = f"± {repeated.bias_noise_percent:.2g} of chance; {note}"
        yield Figure(f"estimators.{name}.bias_percent", repeated.bias_percent, noise)
        yield Figure(f"estimators.{name}.ci_coverage", repeated.coverage, f"target 0.93…0.97; {note}")
    yield from rare(population, samples)
    yield from hamlets(samples)
    if others:
        yield from independent(scratch)


def independent(scratch: Path) -> Iterator[Figure]:
    """Ours against other implementations, where the package index can be reached."""
    try:
        found = measured(scratch)
    except NotInstalled as error:
        print(f"# estimators.independent left out: the other implementations cannot be installed: {error}", flush=True)
        return
    note = "values and standard errors of shares, ratios, change, domains and coverage against samplics; target ≤ 1e-9"
    yield Figure("estimators.independent.max_relative_diff", found["samplics"], note)
    note = "overall, user's and producer's accuracies and their standard errors against lulc-validation; target ≤ 1e-9"
    yield Figure("estimators.independent.lulc_relative_diff", found["lulc_validation"], note)


OTHERS = frozenset({"estimators.independent.max_relative_diff", "estimators.independent.lulc_relative_diff"})
EXPERIMENT = Experiment("estimators", run, small={"samples": 20, "others": False}, full_only=OTHERS)
