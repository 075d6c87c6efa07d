"""Experiment ``embed``: a new head on stored feature vectors, against encoding all over again.

The place is simulated, and its encoder is the demonstration's, a small one. How much rounding changes a map depends on
the encoder: it is measured again with the published weights of Presto on real imagery, where ``../shared`` has them.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import yaml

from stook.models.bundle import load_bundle
from stook.models.metrics import auc
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import BUNDLE, DEMO_PRODUCTS, WINDOW, YEAR, write_place
from stook.pipelines.map import MapResult, run_embed, run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.pipelines.train import run_training
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import open_layer
from stook.transforms.labelled.label_files import read_labels
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from stook.transforms.values import NODATA
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.evidence.sites import CLASSES, EXAMPLES, LABELS, SHORT, WHOLE, Change, relocated, values_at
from tests.pipelines.small_season import SMALL_DEMO

PLACE = Place(width_m=1400, height_m=1400, seed=31)
TILE_PX = 100
RESOLUTION_M = 10


def run(
    scratch: Path, place: Place = PLACE, revisit: Revisit | None = None, season: Change = WHOLE
) -> Iterator[Figure]:
    """Time, bytes and disk on the simulated place, rounding there and on real imagery."""
    yield from simulated(scratch / "simulated", place, revisit)
    if SHARED.is_dir():
        yield from real(scratch / "flanders", season)


def simulated(folder: Path, where: Place, revisit: Revisit | None) -> Iterator[Figure]:
    """Store vectors, train a head from them, and map with it: with the vectors, and from imagery."""
    folder.mkdir()
    place = write_place(folder, where, TILE_PX, DEMO_PRODUCTS, revisit)
    exact = stored("float32", BUNDLE, WINDOW)
    _, embed_s = timed(run_embed, place.config, exact | {"output": "out-float32"})
    train_head(folder, place.truth, folder / f"out-float32/simulated/main-{YEAR}/embeddings")

    head = {"products": {"cropland": {"bundle": "second", "window": WINDOW}}}
    from_imagery, imagery_s = timed(run_map, place.config, head | {"output": "out"})
    from_float32, _ = timed(run_map, place.config, head | exact | {"output": "out-float32"})
    small = head | stored("int8", BUNDLE, WINDOW) | {"output": "out-int8"}
    timed(run_embed, place.config, small)
    from_int8, int8_s = timed(run_map, place.config, small)

    pixels = sum(int((layer != NODATA).sum()) for layer in maps(from_imagery))
    width = load_bundle(BUNDLE).encoder.output.width
    told = f"simulated, {len(from_imagery.manifest['tiles'])} tiles, {pixels} pixels, vectors of {width} numbers"
    note = f"map with stored int8 vectors ÷ map from imagery after the head changed; {told}"
    yield Figure("embed.time_ratio", int8_s / imagery_s, note)
    yield Figure("embed.map_seconds", imagery_s, f"from imagery; {told}")
    yield Figure("embed.map_stored_seconds", int8_s, "from stored int8 vectors; same run")
    yield Figure("embed.embed_seconds", embed_s, "stook embed, float32; same run")
    differing = sum(int((a != b).sum()) for a, b in zip(maps(from_imagery), maps(from_float32), strict=True))
    yield Figure("embed.float32.differing_bytes", differing, "of the map, against the one from imagery; target 0")
    yield from differences("embed.int8", from_imagery, from_int8, "simulated, head trained on the place")
    for storage in ("float32", "int8"):
        size, cells = disk(next((folder / f"out-{storage}").glob(f"simulated/main-{YEAR}/embeddings/*/maps.zarr")))
        yield Figure(f"embed.{storage}.bytes_per_cell", size / cells, f"on disk, compressed; {told}")


def stored(storage: str, bundle: Path, window: Change) -> Change:
    """The section ``embeddings`` with the encoder of a bundle."""
    return {"embeddings": {"encoder": {"bundle": str(bundle)}, "window": window, "storage": storage}}


def train_head(folder: Path, truth: dict[int, dict[str, Path]], embeddings: Path) -> None:
    """Train ``second`` on the place's truth, from stored vectors."""
    labels = [
        {"file": str(layers["cropland"]), "year": YEAR, "positive": [1], "negative": [0], "licence": "simulated"}
        | {"embeddings": str(embeddings)}
        for layers in truth.values()
    ]
    section = {"product": "cropland", "bundle": "second", "encoder": {"bundle": str(BUNDLE)}, "window": WINDOW}
    section |= {"labels": labels, "strengths": [1.0], "block_m": 200}
    imagery = yaml.safe_load((folder / "demo.yaml").read_text())["imagery"]
    config = folder / "train.yaml"
    config.write_text(yaml.safe_dump({"name": "second head", "imagery": imagery, "training": section}))
    run_training(load(config, TrainConfiguration), JsonReporter())


def timed(command: Callable[..., MapResult], config: Path, change: Change, year: int = YEAR) -> tuple[Edition, float]:
    """The edition that a command makes of a changed configuration, and its seconds."""
    changed = config.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | change))
    start = time.perf_counter()
    result = command(load(changed, MapConfiguration), year, JsonReporter())
    if not result.published:
        raise RuntimeError(f"{command.__name__} failed: {result.failed}")
    return result.edition, time.perf_counter() - start


def maps(edition: Edition) -> list[np.ndarray]:
    """Percent of every zone, zones in order."""
    zones = sorted({name.split("_")[0] for name in edition.manifest["tiles"]})
    return [np.asarray(open_layer(edition.maps, zone, RESOLUTION_M, "cropland")[:]) for zone in zones]


def differences(name: str, exact: Edition, rounded: Edition, note: str) -> Iterator[Figure]:
    """By how many percent points a map differs where both have a value; raises if only one has."""
    one, other = (
        np.concatenate([layer.ravel() for layer in maps(edition)]).astype(int) for edition in (exact, rounded)
    )
    if ((one == NODATA) != (other == NODATA)).any():
        raise RuntimeError(f"{name}: other pixels are mapped")
    off = np.abs(one - other)[one != NODATA]
    yield Figure(f"{name}.max_percent_diff", int(off.max()), f"percent points, {off.size} pixels; {note}")
    yield Figure(f"{name}.mean_percent_diff", float(off.mean()), f"percent points; {note}")


def disk(store: Path) -> tuple[int, int]:
    """Bytes of the vectors and scales of a store, and how many cells have a vector."""
    groups = [group for zone in store.iterdir() if zone.is_dir() for group in zone.iterdir() if group.is_dir()]
    size = sum(
        file.stat().st_size
        for group in groups
        for name in ("embedding", "embedding_scale")
        for file in (group / name / "c").rglob("*")
        if file.is_file()
    )
    clear = [
        np.asarray(open_layer(store, group.parent.name, RESOLUTION_M, "embedding_clear_observations"))
        for group in groups
    ]
    return size, sum(int((layer != NODATA).sum()) for layer in clear)


def real(folder: Path, season: Change) -> Iterator[Figure]:
    """Rounding on the east site of Flanders with a head of the west site, and the published weights of Presto."""
    changes = {"bundle": "bundle", "held_out": []} | season
    training = load(relocated(EXAMPLES / "train-west.yaml", folder, training=changes), TrainConfiguration)
    run_training(training, JsonReporter())
    bundle = training.training.bundle
    config = relocated(EXAMPLES / "map-east.yaml", folder, product={"bundle": bundle} | season)
    window = yaml.safe_load(config.read_text())["products"]["cropland"]["window"]
    exact, _ = timed(run_map, config, {"output": "out"}, 2019)
    note = "Presto as published, real imagery, linear head of the other site"
    yield Figure("embed.flanders.exact.auc", accuracy(exact), f"not rounded; {note}")
    for storage in ("float16", "int8"):
        small = stored(storage, Path(bundle), window) | {"output": f"out-{storage}"}
        timed(run_embed, config, small, 2019)
        rounded, _ = timed(run_map, config, small, 2019)
        yield from differences(f"embed.flanders.{storage}", exact, rounded, note)
        yield Figure(f"embed.flanders.{storage}.auc", accuracy(rounded), note)


def accuracy(edition: Edition) -> float:
    """AUC of a map of the east site on its labels."""
    labels = read_labels(LABELS / "east_LC.tif", CLASSES)
    percent = values_at(edition, labels)
    found = percent != NODATA
    return auc(labels.table["label"].to_numpy()[found], percent[found])


EXPERIMENT = Experiment("embed", run, small=SMALL_DEMO | {"season": SHORT})
