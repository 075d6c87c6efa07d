"""Galileo against the answers of the reference implementation, and beside Presto on real imagery and labels.

The protocol was settled beforehand: ``flanders``', with the series of single pixels. ``auc_context`` is the same with
4 px of context, whose vectors are blended.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stook.models.encoder import Encoder
from stook.models.galileo import Galileo, GalileoSize
from stook.models.inference import Embedder
from stook.models.weights import load_checkpoint
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.encode import encode
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.evidence.sites import DIRECTIONS, SHORT, WHOLE, Change, SiteSeason, transfer
from tests.models.test_galileo import CASES, difference, published_nano

NAME, WEIGHTS = "galileo-nano", SHARED / "weights/galileo/nano_encoder.pt"
PIXEL = {"patch_px": 1, "chip_px": 1}
CONTEXT = {"patch_px": 1, "chip_px": 4}
STRIDE_PX = 2  # of these chips
CANDIDATES = (0.001, 0.01, 0.1, 1.0, 10.0)  # of the examples whose C is chosen
REPETITIONS = 3


def run(
    scratch: Path,
    season: Change = WHOLE,
    strengths: Sequence[float] = CANDIDATES,
    stride_px: int = STRIDE_PX,
    repetitions: int = REPETITIONS,
) -> Iterator[Figure]:
    """Greatest difference over four golden cases; speed; accuracy in both directions."""
    galileo, _ = Galileo.of_published(published_nano(SHARED), GalileoSize())
    with np.load(SHARED / "golden/galileo_nano.npz") as golden:
        greatest = max(difference(galileo, golden, case) for case in CASES)
    yield Figure("galileo.golden.max_abs_diff", greatest, "nano, patches of 1, 2, 4 and 8 px, float32, target ≤ 1e-5")
    yield from speed(scratch / "speed", season, repetitions)
    for direction in DIRECTIONS:
        fixed = transfer(direction, scratch / f"{direction}", season, "-galileo")
        note = f"{fixed.note}; nano, single pixels"
        yield Figure(f"galileo.flanders.auc.{direction}", fixed.estimate.value, note)
        chosen = transfer(direction, scratch / f"{direction}-chosen", season, "-galileo", {"strengths": [*strengths]})
        note = f"{chosen.note}, chosen on the training site alone; nano, single pixels"
        yield Figure(f"galileo.flanders.auc_chosen.{direction}", chosen.estimate.value, note)
    context = {"encoder": {"name": NAME, "weights": str(WEIGHTS), "options": CONTEXT}, "stride_px": stride_px}
    for direction in DIRECTIONS:
        start = time.perf_counter()
        wider = transfer(direction, scratch / f"{direction}-context", season, "-galileo", context)
        note = f"{wider.note}; nano, chips of 4 px every {stride_px} px, blended; {time.perf_counter() - start:.0f} s"
        yield Figure(f"galileo.flanders.auc_context.{direction}", wider.estimate.value, note)


def speed(scratch: Path, season: Change, repetitions: int) -> Iterator[Figure]:
    """Pixels per second of the two encoders, whose bands and months are the same, over one site."""
    galileo = load_checkpoint(NAME, WEIGHTS, PIXEL)
    presto = load_checkpoint("presto", SHARED / "weights/presto/default_model.pt")
    site = SiteSeason.read("west", presto, scratch, season)
    best = {galileo.family: 0.0, presto.family: 0.0}
    for _ in range(repetitions):  # in turn, so that other work on the machine slows both
        for encoder in (galileo, presto):
            best[encoder.family] = max(best[encoder.family], pixels_per_second(encoder, site))
    note = f"best of {repetitions}, in turn with the other, on the same composite of 12 months; float32, no reading"
    yield Figure("galileo.pixels_per_second", best[galileo.family], f"nano, single pixels; {note}")
    yield Figure("galileo.presto_pixels_per_second", best[presto.family], f"Presto; {note}")


def pixels_per_second(encoder: Encoder, site: SiteSeason) -> float:
    """How quickly every pixel that was observed is cut out and encoded."""
    embedder, layout = Embedder(encoder), ChipLayout.of(encoder.specification, encoder.output, None)
    pixels, start = 0, time.perf_counter()
    for season in site.seasons.values():
        observed = season.inner(season.composite.observed)
        pixels += sum(len(part.rows) for part in encode(embedder, layout, season, observed))
    return pixels / (time.perf_counter() - start)


SMALL = {"season": SHORT, "strengths": (0.01, 0.1), "stride_px": 4, "repetitions": 1}
EXPERIMENT = Experiment("galileo", run, small=SMALL, needs_shared=True)
