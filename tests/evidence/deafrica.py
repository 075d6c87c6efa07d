"""How much a shuffled split flatters: crop samples of East Africa, judged on shuffled folds and on whole blocks.

The samples (Digital Earth Africa, CC BY 4.0) come in clusters. A classifier that has seen a neighbour of each sample it
is asked about answers a question that no map asks; on ground it has not seen it is worse. The folds by blocks are those
with which ``stook train`` chooses its penalty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold

from stook.models.metrics import auc
from stook.models.training import MOST_FOLDS, Fold, blocked_folds
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure

FOLDER = SHARED / "data/deafrica"
BLOCK_M = 100_000
BLOCKS_PER_ROW = 1_000  # of 100 km: the Earth is 400 around
TREES = 100
SEED = 0


@dataclass(frozen=True)
class Split:
    """How well a classifier did on folds, and how far these were from what it was fitted on.

    Attributes:
        auc: Mean over the folds.
        lowest: Of the folds.
        highest: Of the folds.
        pooled: Of all samples together, each judged in the fold in which it was not fitted.
        nearest_m: Least distance of a fitted and a checked sample, of all folds.
        typical_m: Median distance of a checked sample to the nearest fitted one.
        shared_blocks: Most blocks of a fold that are on both sides.
    """

    auc: float
    lowest: float
    highest: float
    pooled: float
    nearest_m: float
    typical_m: float
    shared_blocks: int

    @property
    def note(self) -> str:
        """What a reader needs beside the AUC."""
        return (
            f"{self.lowest:.3f} to {self.highest:.3f} by fold, {self.pooled:.3f} pooled; from a checked sample to the "
            f"nearest fitted one {self.nearest_m:.0f} m at least, {self.typical_m:.0f} m typically; "
            f"{self.shared_blocks or 'no'} blocks on both sides"
        )


def read_samples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features float64 [sample, 33], labels bool [sample], easting and northing in metres [sample, 2].

    The file names no CRS; EPSG:6933 puts every sample into East Africa, Web Mercator hundreds into the Congo.
    """
    table = np.loadtxt(FOLDER / "eastern_training_data.txt")
    return table[:, 1:], table[:, 0] == 1, np.loadtxt(FOLDER / "eastern_coordinates_20210427.txt")


def blocks_of(places: np.ndarray, block_m: float) -> np.ndarray:
    """The square block int64 [sample] that each place [sample, 2] lies in."""
    column, row = np.floor(places / block_m).astype(np.int64).T
    return row * BLOCKS_PER_ROW + column


def shuffled_folds(count: int) -> list[Fold]:
    """As many folds as those of whole blocks, drawn at random."""
    return list(KFold(MOST_FOLDS, shuffle=True, random_state=SEED).split(np.empty(count)))


def judge(
    features: np.ndarray, labels: np.ndarray, places: np.ndarray, blocks: np.ndarray, folds: list[Fold], trees: int
) -> Split:
    """A random forest on the folds: features [sample, feature], labels bool, places [sample, 2] in metres, blocks."""
    probability = np.full(len(labels), np.nan)
    scores, shared = [], 0
    nearest = np.full(len(labels), np.nan)
    for fit, check in folds:
        forest = RandomForestClassifier(trees, random_state=SEED).fit(features[fit], labels[fit])
        probability[check] = forest.predict_proba(features[check])[:, 1]
        scores.append(auc(labels[check], probability[check]))
        nearest[check] = cKDTree(places[fit]).query(places[check])[0]
        shared = max(shared, len(np.intersect1d(blocks[fit], blocks[check])))
    return Split(
        auc=float(np.mean(scores)),
        lowest=min(scores),
        highest=max(scores),
        pooled=auc(labels, probability),
        nearest_m=float(nearest.min()),
        typical_m=float(np.median(nearest)),
        shared_blocks=shared,
    )


def compare(features: np.ndarray, labels: np.ndarray, places: np.ndarray, trees: int = TREES) -> tuple[Split, Split]:
    """The same classifier on shuffled folds, and on folds of whole blocks; arguments as of ``judge``."""
    blocks = blocks_of(places, BLOCK_M)
    shuffled = judge(features, labels, places, blocks, shuffled_folds(len(labels)), trees)
    return shuffled, judge(features, labels, places, blocks, blocked_folds(blocks), trees)


def run(scratch: Path, trees: int = TREES) -> Iterator[Figure]:
    """The AUC either way, crop against everything else."""
    features, labels, places = read_samples()
    shuffled, blocked = compare(features, labels, places, trees)
    told = f"{len(labels)} samples, random forest of {trees} trees, mean of {MOST_FOLDS} folds"
    yield Figure("deafrica.auc.shuffled", shuffled.auc, f"{told}, shuffled; {shuffled.note}")
    count = len(np.unique(blocks_of(places, BLOCK_M)))
    yield Figure("deafrica.auc.blocked", blocked.auc, f"{told}, {count} whole blocks of 100 km; {blocked.note}")


EXPERIMENT = Experiment("deafrica", run, small={"trees": 2}, needs_shared=True)
