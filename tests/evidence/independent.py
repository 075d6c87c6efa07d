"""Our estimators beside two independent implementations: samplics, and lulc-validation for Stehman 2014.

Neither is needed for anything else, and samplics is archived, so that they are installed into an environment of their
own, with the numbers' libraries of the versions that run here; ``python -m tests.evidence.independent`` then compares.
"""

import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from stook.transforms.estimators.accuracy import indicator
from stook.transforms.estimators.change import changed
from stook.transforms.estimators.design import Design, Stratum
from stook.transforms.estimators.domain import domain_area
from stook.transforms.estimators.interval import Estimate
from stook.transforms.estimators.shares import difference, domain_difference

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("samplics==0.6.1", "lulc-validation==0.0.4")
LIBRARIES = ("numpy", "pandas", "scipy")
INSTALL_S, COMPARE_S = 900, 300
CLASSES = ("other", "cropland", "terraces")
SIZES = (4000, 2500, 900, 600)
COUNTS = (60, 80, 70, 25)
SAMPLES = 20

Pair = tuple[float, float]


class NotInstalled(Exception):  # noqa: N818  says why there is no figure; nothing went wrong with ours
    """The other implementations could not be had; the message says why."""


def measured(scratch: Path) -> dict[str, float]:
    """Implementation -> largest relative difference of values and standard errors, in an environment made for it.

    Args:
        scratch: Folder that may be filled.

    Raises:
        NotInstalled: If the package index does not give them.
    """
    folder = scratch / "independent"
    pinned = [f"{name}=={version(name)}" for name in LIBRARIES]
    install = [str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES, *pinned]
    for command in ([sys.executable, "-m", "venv", str(folder)], install):
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotInstalled(str(error)) from error
        if made.returncode:
            raise NotInstalled(made.stderr.strip().splitlines()[-1] if made.stderr.strip() else "pip failed")
    # The paths of this environment must not reach into the other.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    compare = [str(folder / "bin" / "python"), "-m", "tests.evidence.independent"]
    told = subprocess.run(
        compare, capture_output=True, text=True, timeout=COMPARE_S, check=True, cwd=ROOT, env=environment
    )
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def max_relative_difference(pairs: Iterable[tuple[Pair, Pair]]) -> float:
    """Of values and of standard errors, ours and theirs."""
    return max(
        abs(ours - theirs) / abs(theirs)
        for one, other in pairs
        for ours, theirs in zip(one, other, strict=True)
        if ours != theirs
    )


def by_samplics(seed: int) -> Iterator[tuple[Pair, Pair]]:
    """Our estimate of random points of four strata, of finite size or not, and what samplics gives."""
    random = np.random.default_rng(seed)
    design, mapped, reference = drawn(random, finite=bool(seed % 2))
    points = len(mapped)
    later, inside = random.random((2, points)) < 0.4
    shares, wrong_shares = random.random((2, points))
    found = indicator(design, mapped, reference, CLASSES)
    yield ours(found.overall), surveyed(design, mapped == reference)
    for k, name in enumerate(CLASSES):
        yield ours(found.areas[name]), surveyed(design, reference == k, times=design.area)
        right = (mapped == k) & (reference == k)
        yield ours(found.users[name]), surveyed(design, right, mapped == k)
        yield ours(found.producers[name]), surveyed(design, right, reference == k)
    change = changed(design, reference == 1, later)
    yield ours(change.net), surveyed(design, later.astype(float) - (reference == 1), times=design.area)
    yield ours(change.gain), surveyed(design, later & (reference != 1), times=design.area)
    member = reference == 1
    everywhere = np.ones(len(design.strata))
    there, error = surveyed(design, (member.astype(float) - later) * inside, times=design.area)
    yield ours(domain_area(design, later, member, inside, "unit", 3000, everywhere)), (3000 + there, error)
    value, error = surveyed(design, shares - wrong_shares)
    yield ours(difference(design, 0.4, wrong_shares, shares)), (0.4 + value, error)
    value, error = surveyed(design, (shares - wrong_shares) * inside, inside)
    yield ours(domain_difference(design, 0.3, wrong_shares, shares, inside, "unit")), (0.3 + value, error)


def by_lulc_validation(seed: int) -> Iterator[tuple[Pair, Pair]]:
    """Our accuracies of random points of four finite strata, and what lulc-validation gives."""
    design, mapped, reference = drawn(np.random.default_rng(seed), finite=True)
    table = pd.DataFrame({"stratum": design.stratum, "said": mapped, "seen": reference})
    kinds, strata = list(range(len(CLASSES))), list(range(len(SIZES)))
    validation = importlib.import_module("lulc_validation.lulc_val").StratVal
    theirs = validation(strata, kinds, list(SIZES), table, "stratum", "seen", "said")
    found = indicator(design, mapped, reference, CLASSES)
    yield ours(found.overall), (theirs.accuracy(), theirs.accuracy_se())
    users, users_errors = theirs.users_accuracy(), theirs.users_accuracy_se()
    producers, producers_errors = theirs.producers_accuracy(), theirs.producers_accuracy_se()
    for k, name in enumerate(CLASSES):
        yield ours(found.users[name]), (users[str(k)], users_errors[str(k)])
        yield ours(found.producers[name]), (producers[str(k)], producers_errors[str(k)])


def drawn(random: np.random.Generator, finite: bool) -> tuple[Design, np.ndarray, np.ndarray]:
    """A design of four strata, and random classes of its points: of the map and on the ground."""
    strata = tuple(Stratum(f"stratum {n}", float(size), size if finite else None) for n, size in enumerate(SIZES))
    design = Design(strata, random.permutation(np.repeat(np.arange(len(SIZES)), COUNTS)))
    mapped, reference = random.integers(len(CLASSES), size=(2, sum(COUNTS)))
    return design, mapped, reference


def ours(estimate: Estimate) -> Pair:
    """What is compared of an estimate."""
    return estimate.value, estimate.standard_error


def surveyed(
    design: Design, values: np.ndarray, among: np.ndarray | None = None, times: float = 1.0
) -> tuple[float, float]:
    """Mean, or ratio of two means, and its standard error by samplics' Taylor linearisation."""
    estimation = importlib.import_module("samplics.estimation")
    kinds = importlib.import_module("samplics").PopParam
    weights = (design.shares * design.area / design.counts)[design.stratum]
    taylor = estimation.TaylorEstimator(kinds.mean if among is None else kinds.ratio)
    taylor.estimate(
        y=values.astype(float),
        samp_weight=weights,
        x=None if among is None else among.astype(float),
        stratum=design.stratum,
        psu=np.arange(len(values)),
        fpc=dict(enumerate(design.unsampled.tolist())),
    )
    return times * float(taylor.point_est), times * float(taylor.stderror)


def main() -> None:
    """Print the differences as JSON, in the environment that has the other implementations."""
    warnings.simplefilter("ignore")  # that samplics is archived
    compared = {"samplics": by_samplics, "lulc_validation": by_lulc_validation}
    found = {
        name: max_relative_difference(pair for seed in range(SAMPLES) for pair in pairs(seed))
        for name, pairs in compared.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
