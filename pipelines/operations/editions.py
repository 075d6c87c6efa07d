"""``stook publish``, ``cancel`` and ``remove``: which edition readers see, which run stops, which results go."""

import time

from models.errors import InputError, UnreachableError
from pipelines.configuration import MapConfiguration
from pipelines.season import season_folder, thresholds_of
from transforms.editions.edition import Edition, SeasonFolder
from transforms.editions.lease import holder, told
from transforms.editions.signals import ask_to_stop, forget
from transforms.editions.state import state_of
from transforms.statistics.table import failed_share, statistics
from transforms.store import writing

LOOKS_EVERY_S = 1.0


def run_publish(config: MapConfiguration, year: int, name: str | None) -> Edition:
    """Point readers at an edition: the newest if none is named; an older one takes a publication back.

    Raises:
        InputError: If there is no such edition, tiles are left, or more failed than the configuration allows.
        UnreachableError: If the output cannot be written.
    """
    folder = season_folder(config, year)
    edition = edition_named(folder, name)
    state = state_of(folder, edition)
    if not state.complete:
        left = max(product.left for product in state.products.values())
        raise InputError(f"{edition.folder}: {left} of {state.tiles} tiles are not mapped yet; finish with 'stook map'")
    share, most = failed_share(statistics(edition, thresholds_of(config))), config.publish.most_failed_share
    if share > most:
        raise InputError(
            f"{edition.folder}: {share:.2%} of the area failed, publish.most_failed_share allows {most:.2%}; "
            "mend the cause and run 'stook map'"
        )
    with writing(folder.folder):
        folder.publish(edition)
    return edition


def run_cancel(config: MapConfiguration, year: int, discard: bool, patience_s: float) -> Edition:
    """Stop the run that fills the newest open edition, wherever it runs, and wait until it has.

    Args:
        config: The configuration.
        year: Harvest year.
        discard: Whether the edition is deleted then; otherwise ``stook map`` continues it.
        patience_s: How long to wait for the run.

    Raises:
        InputError: If no edition is open.
        UnreachableError: If the run does not stop in time; it is still asked to.
    """
    folder = season_folder(config, year)
    opened = [edition for edition in folder.editions() if folder.status(edition) == "open"]
    if not opened:
        raise InputError(f"{folder.folder}: no edition of this season is open; there is nothing to stop")
    edition = opened[-1]
    if holder(folder.folder):
        with writing(folder.folder):
            ask_to_stop(folder.folder)
        deadline = time.monotonic() + patience_s
        while held := holder(folder.folder):
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"{edition.folder}: {told(held)}; it was asked to stop and has not yet, tiles in work are finished "
                    "first; wait longer with --patience"
                )
            time.sleep(LOOKS_EVERY_S)
        forget(folder.folder)
    if discard:
        folder.remove(edition)
    return edition


def run_remove(config: MapConfiguration, year: int, keep: int, open_too: bool, really: bool) -> list[Edition]:
    """Delete editions of a season that readers no longer see, but for the newest ``keep`` of them.

    Args:
        config: The configuration.
        year: Harvest year.
        keep: How many of those that are superseded stay, the last published ones.
        open_too: Whether open editions older than the published one go too; a run may have been given up.
        really: Whether they are deleted; otherwise they are told only.

    Returns:
        What was, or would be, deleted.

    Raises:
        InputError: If a run is at work on one of them.
        UnreachableError: If the output cannot be written.
    """
    folder = season_folder(config, year)
    current = folder.current()
    states = {edition: folder.status(edition) for edition in folder.editions()}
    going = [edition for edition, status in states.items() if status == "superseded"]
    going = going[: max(0, len(going) - keep)]
    if open_too and current is not None:
        going += [edition for edition, status in states.items() if status == "open" and edition.id < current.id]
    if really:
        for edition in going:
            folder.remove(edition)
    return going


def edition_named(folder: SeasonFolder, name: str | None) -> Edition:
    """An edition of a season by its name, the newest if none is given; raises InputError if there is none."""
    editions = folder.editions()
    found = [edition for edition in editions if name in (None, edition.id)]
    if not found:
        there = ", ".join(edition.id for edition in editions) or "none"
        raise InputError(f"--edition {name or ''}: {folder.folder} has no such edition; it has {there}")
    return found[-1]
