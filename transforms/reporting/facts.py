"""What an edition was made from, as it is told to readers: scenes, models, and what of it is simulated."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow.parquet as pq

from stook.models.bundle import CARD_FILE, MANIFEST
from stook.models.errors import StookError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.kept_models import kept_model
from stook.transforms.editions.plan import ProductPlan
from stook.transforms.imagery.catalog import SIMULATED, is_simulated
from stook.transforms.store import CLOUD_FAILURES, fetched

SCENE_COLUMNS = ["source", "item_id", "datetime", "baseline", "updated"]
MOST_CARD_LINES = 6
ACCURACY = "## Accuracy"


@dataclass(frozen=True)
class Imagery:
    """One archive of an edition.

    Attributes:
        sensor: E.g. ``sentinel2``.
        catalog: Where it is.
        collection: Of the archive.
        profile: How its numbers are read.
        scenes: How many were frozen.
        first: Day of the first; None where there are none.
        last: Day of the last.
        baselines: Processing baselines that items name.
    """

    sensor: str
    catalog: str
    collection: str
    profile: str
    scenes: int
    first: date | None
    last: date | None
    baselines: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """The model of a product.

    Attributes:
        product: That it makes.
        hash: Of its bundle.
        licence: Of encoder and training labels.
        encoder: What it is; empty where the bundle is not at hand as it was.
        trained_on: Places and seasons; empty likewise.
        accuracy: Lines of its card; none likewise.
    """

    product: str
    hash: str
    licence: str
    encoder: str = ""
    trained_on: str = ""
    accuracy: tuple[str, ...] = ()


def scenes_of(edition: Edition) -> pd.DataFrame:
    """The frozen scenes: source, item_id, datetime, baseline, updated."""
    return pq.read_table(fetched(edition.inputs), columns=SCENE_COLUMNS).to_pandas()


def imagery_of(edition: Edition) -> list[Imagery]:
    """Each archive and what was taken from it."""
    scenes = scenes_of(edition)
    return [
        Imagery(
            sensor,
            source.catalog,
            source.collection,
            source.profile,
            len(taken),
            taken["datetime"].min().date() if len(taken) else None,
            taken["datetime"].max().date() if len(taken) else None,
            tuple(sorted({baseline for baseline in taken["baseline"] if baseline})),
        )
        for sensor, source in edition.plan.sources.items()
        for taken in [scenes[scenes["source"] == sensor]]
    ]


def models_of(edition: Edition) -> list[Model]:
    """Each model, with what its bundle tells where it is still the one that was used."""
    licences = edition.manifest["licences"]
    return [_model(edition, product, licences[product.product]) for product in edition.plan.products]


def simulated_in(edition: Edition) -> list[str]:
    """What of an edition says of itself that it is simulated, in words; nothing where all of it may be real."""
    sensors = _simulated_imagery(edition)
    models = [
        model.product
        for model in models_of(edition)
        if SIMULATED in f"{model.licence} {model.encoder} {model.trained_on}".lower()
    ]
    return [
        *([f"the imagery ({', '.join(sensors)})"] if sensors else []),
        *([f"what models were trained with ({', '.join(models)})"] if models else []),
    ]


def _model(edition: Edition, product: ProductPlan, licence: str) -> Model:
    known = Model(product.product, product.model_hash, licence)
    try:
        folder = kept_model(edition, product).local
        raw, card = (folder / MANIFEST).read_bytes(), (folder / CARD_FILE).read_bytes()
    except (OSError, StookError):
        return known
    if hashlib.sha256(raw).hexdigest() != product.model_hash:
        return known
    manifest = json.loads(raw)
    if hashlib.sha256(card).hexdigest() != manifest["sha256"][CARD_FILE]:
        return known
    accuracy = tuple(_accuracy(card.decode()))
    trained_on = "; ".join(dict.fromkeys(manifest["trained_on"].split("; ")))
    return Model(product.product, product.model_hash, licence, manifest["encoder"], trained_on, accuracy)


def _accuracy(card: str) -> Iterator[str]:
    """What a card says of accuracy: its heading, and its figures up to a number of lines."""
    _, found, after = card.partition(ACCURACY)
    if not found:
        return
    heading, _, body = after.partition("\n")
    lines = [line.strip() for line in body.partition("\n## ")[0].splitlines()]
    told = [line for line in lines if line and not line.startswith(("#", "|"))]
    yield f"{ACCURACY.removeprefix('## ')}{heading}"
    yield from (line.removeprefix("- ") for line in told[:MOST_CARD_LINES])


def _simulated_imagery(edition: Edition) -> list[str]:
    """Sensors whose catalogues said so when the edition was opened; of older ones, what they say now, if anything."""
    found: list[str] | None = edition.manifest.get("simulated")
    if found is not None:
        return found
    with suppress(*CLOUD_FAILURES):
        return sorted(sensor for sensor, source in edition.plan.sources.items() if is_simulated(source))
    return []
