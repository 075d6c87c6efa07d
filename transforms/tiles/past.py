"""What an earlier run of the same kind did on this machine, from the summary in its edition."""

import socket
from datetime import datetime
from itertools import islice

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import EMBEDDING, Plan, ProductPlan
from stook.transforms.editions.run_summary import RunSummary
from stook.transforms.editions.season_folder import SeasonFolder, season_folders
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.store import bytes_below
from stook.transforms.tiles.rates import Past

MOST_WALKED = 5_000  # tiles of an edition whose files are counted: some ten thousand files, seconds
RECORDS_LOOKED_AT = 20


def past_run(folder: SeasonFolder, season: str, plan: Plan) -> Past | None:
    """The largest run on this machine, of the newest edition that has one, that made every product with these models.

    Args:
        folder: Of the season.
        season: Its name without the year; other years count too, after this one.
        plan: Of what is to be done.
    """
    others = list(season_folders(folder.output, plan.name, season).values())
    if folder.kind == "embeddings":
        others = [other.embeddings for other in others]
    for each in (folder, *(other for other in others if other.folder != folder.folder)):
        for edition in reversed(each.editions()):
            runs = [run for run in edition.runs if is_whole(run)] if alike(edition.plan, plan) else []
            if runs and computed_all(edition):
                return past(edition, max(runs, key=lambda run: run.computed or 0))
    return None


def alike(one: Plan, other: Plan) -> bool:
    """Whether the same models look at tiles of the same size; vectors of other bits take another disk."""
    models = [{each.product: (each.model_hash, stored_as(each)) for each in plan.products} for plan in (one, other)]
    return one.grid == other.grid and models[0] == models[1]


def stored_as(product: ProductPlan) -> str | None:
    """The type of the numbers that feature vectors are kept as; None for maps."""
    if product.product != EMBEDDING or not isinstance(product.encoding, Encoding):
        return None
    return product.encoding.storage


def is_whole(run: RunSummary) -> bool:
    """Whether a run tells what work costs here: it was on this machine, took nothing over and failed nowhere."""
    counted = run.amounts.get("assets") and sum(run.seconds.values())
    return bool(run.host == socket.gethostname() and run.computed and counted and not run.carried and not run.failed)


def computed_all(edition: Edition) -> bool:
    """Whether an edition computed its products itself, as far as its first records tell."""
    records = islice(edition.ledger.records(), RECORDS_LOOKED_AT)
    return all(product.carried is None for record in records for product in record.products.values())


def past(edition: Edition, run: RunSummary) -> Past:
    """A run's summary as what rates are taken from."""
    tiles = len(edition.manifest["tiles"])
    return Past(
        edition=edition.id,
        seconds=seconds_of(run),
        tiles=run.computed or 0,
        assets=run.amounts["assets"],
        pixels=run.amounts.get("pixels", 0),
        in_flight=1 if run.mode == "memory" else run.workers,
        steps=run.seconds,
        bytes_per_tile=bytes_below(edition.maps) / tiles if tiles <= MOST_WALKED else None,
    )


def seconds_of(run: RunSummary) -> float:
    """From start to end."""
    return (datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)).total_seconds()
