"""``stook publish``, ``cancel`` and ``remove``: which edition readers see, which run stops, which results go."""

import time

from stook.models.errors import InputError, UnreachableError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.journal import Journal
from stook.pipelines.kind import MAPS, VECTORS, Kind
from stook.pipelines.map import announced, conclude
from stook.pipelines.progress import SilentReporter
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import LEASE, holder, told
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.signals import ask_to_stop, forget
from stook.transforms.editions.state import state_of
from stook.transforms.store import read_json, writing

LOOKS_EVERY_S = 1.0


def run_publish(config: MapConfiguration, year: int, name: str | None, kind: Kind = MAPS) -> Edition:
    """Point readers at an edition: the newest open one if none is named; a superseded one takes a publication back.

    One that was published before is as it was then: nothing is asked of it. An open one is concluded as a run would,
    with what is made from maps and with its tables, for the last run may have been stopped on the way.

    Args:
        config: The configuration.
        year: Harvest year.
        name: Of the edition.
        kind: Whether it is of maps or of feature vectors.

    Raises:
        InputError: If there is no such edition, it is of other products than the configuration, tiles are left, more
            failed than the configuration allows, or a run is at work.
        UnreachableError: If the output cannot be written.
    """
    folder = kind.folder(config, year)
    edition = edition_named(folder, name) if name else newest_open(folder)
    status = folder.status(edition)
    if status == "open":
        conclude_open(folder, edition, config, kind)
    elif status == "superseded":
        with writing(folder.folder):
            folder.publish(edition)
    return edition


def conclude_open(folder: SeasonFolder, edition: Edition, config: MapConfiguration, kind: Kind) -> None:
    """Publish an open edition of which every tile is made; raises as ``run_publish``."""
    foreign = {product.product for product in edition.plan.products} - kind.products(config)
    if foreign:
        raise InputError(f"{edition.folder}: has {', '.join(sorted(foreign))}, which the configuration does not name")
    reporter = SilentReporter()
    with announced(folder, config, reporter) as lease:
        state = state_of(folder, edition)
        left = max(state.products[product.product].left for product in edition.plan.products)
        if left:
            told = f"{left} of {state.tiles} tiles are not made yet"
            raise InputError(f"{edition.folder}: {told}; finish with '{kind.makes}'")
        lease.say(edition=edition.id)
        with Journal(edition, config, folder.signals(lease)).kept() as journal:
            result = conclude(folder, lease, journal, reporter)
    if not result.published:
        raise InputError(
            f"{edition.folder}: {result.failed_share:.2%} of the area failed, publish.most_failed_share allows "
            f"{config.publish.most_failed_share:.2%}; mend the cause and run '{kind.makes}'"
        )


def run_cancel(
    config: MapConfiguration, year: int, discard: bool, timeout_s: float, kind: Kind = MAPS
) -> Edition | None:
    """Stop the run that is at work on a season, wherever it runs, and wait until it has.

    Args:
        config: The configuration.
        year: Harvest year.
        discard: Whether the edition that it filled is deleted then, or without a run the newest open one; otherwise
            the command that made it continues it.
        timeout_s: How long to wait for the run.
        kind: Whether the run is of maps or of feature vectors.

    Returns:
        The edition that the run filled; None if it had not opened one.

    Raises:
        InputError: If no run is at work, and no open edition is to be deleted.
        UnreachableError: If the run does not stop in time; it is still asked to.
    """
    folder = kind.folder(config, year)
    if holder(folder.folder) is None:
        edition = newest_open(folder)
        if not discard:
            raise InputError(
                f"{folder.folder}: no run is at work, there is nothing to stop; --discard deletes the open edition "
                f"{edition.id}"
            )
        folder.remove(edition)
        return edition
    with writing(folder.folder):
        ask_to_stop(folder.folder)
    deadline = time.monotonic() + timeout_s
    while held := holder(folder.folder):
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"{folder.folder}: {told(held)}; it was asked to stop and has not yet, tiles in work are finished "
                "first; wait longer with --timeout"
            )
        time.sleep(LOOKS_EVERY_S)
    forget(folder.folder)
    name = read_json(folder.folder / LEASE)["edition"]
    stopped = edition_named(folder, name) if name else None
    if discard and stopped is not None and folder.status(stopped) == "open":
        folder.remove(stopped)
    return stopped


def run_remove(
    config: MapConfiguration, year: int, keep: int, open_too: bool, yes: bool, kind: Kind = MAPS
) -> list[Edition]:
    """Delete editions of a season that readers no longer see, but for the newest ``keep`` of them.

    Args:
        config: The configuration.
        year: Harvest year.
        keep: How many of those that are superseded stay, those that were opened last.
        open_too: Whether open editions older than the published one go too; a run may have been given up.
        yes: Whether they are deleted; otherwise they are only listed.
        kind: Whether they are of maps or of feature vectors.

    Returns:
        What was, or would be, deleted.

    Raises:
        InputError: If a run is at work on one of them, or may be reading vectors of one.
        UnreachableError: If the output cannot be written.
    """
    folder = kind.folder(config, year)
    current = folder.current()
    states = {edition: folder.status(edition) for edition in folder.editions()}
    going = [edition for edition, status in states.items() if status == "superseded"]
    going = going[: max(0, len(going) - keep)]
    if open_too and current is not None:
        going += [edition for edition, status in states.items() if status == "open" and edition.id < current.id]
    if yes and going:
        if kind is VECTORS:
            require_unread(config, year)
        for edition in going:
            folder.remove(edition)
    return going


def require_unread(config: MapConfiguration, year: int) -> None:
    """Raise InputError if a run of maps may be reading the season's vectors: it would break off without them.

    One that starts a moment later reads the published vectors, which are never removed.
    """
    maps = MAPS.folder(config, year).folder
    if held := holder(maps):
        raise InputError(f"{maps}: {told(held)}; it may be reading these feature vectors: wait for it, or stop it")


def newest_open(folder: SeasonFolder) -> Edition:
    """The open edition of a season that was opened last; raises InputError if none is open."""
    opened = [edition for edition in folder.editions() if folder.status(edition) == "open"]
    if not opened:
        raise InputError(f"{folder.folder}: no edition of this season is open; 'stook status' names the others")
    return opened[-1]


def edition_named(folder: SeasonFolder, name: str) -> Edition:
    """An edition of a season by its name; raises InputError if there is none."""
    editions = folder.editions()
    found = [edition for edition in editions if edition.id == name]
    if not found:
        there = ", ".join(edition.id for edition in editions) or "none"
        raise InputError(f"--edition {name}: {folder.folder} has no such edition; it has {there}")
    return found[-1]
