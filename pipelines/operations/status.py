"""``stook status``: what is open, published and failed, why, and who is at work."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.transforms.editions.lease import told
from stook.transforms.editions.season_folder import season_folders
from stook.transforms.editions.state import EditionState, Opening, states_in
from stook.transforms.store import address_of

CAUSES_SHOWN = 5


def run_status(config: MapConfiguration, year: int | None) -> list[EditionState | Opening]:
    """Every edition of the configuration's seasons, or of one, oldest season and edition first, maps before vectors.

    Runs that are at work on none of them yet are told as well.

    Raises:
        InputError: If there is neither.
    """
    output = address_of(config.output)
    seasons = season_folders(output, config.name, config.season.name)
    folders = [folder for each, folder in seasons.items() if year in (None, each)]
    states = [state for maps in folders for folder in (maps, maps.embeddings) for state in states_in(folder)]
    if not states:
        where = output / config.name
        raise InputError(f"{where}: there is no edition{f' of {year}' if year else ''}; make one with 'stook map'")
    return states


def print_states(states: list[EditionState | Opening], as_json: bool) -> None:
    """Print them as JSON lines, or as a table with the causes of failures and who is at work."""
    if as_json:
        for state in states:
            complete = {"complete": state.complete} if isinstance(state, EditionState) else {}
            print(json.dumps(asdict(state) | complete))
        return
    Console(width=120).print(table_of(states))
    for state in states:
        failed = state.failed if isinstance(state, EditionState) else {}
        for tile, causes in list(failed.items())[:CAUSES_SHOWN]:
            print(f"{state.edition}: failed: {tile}: {'; '.join(f'{name}: {why}' for name, why in causes.items())}")
        if (more := len(failed) - CAUSES_SHOWN) > 0:
            print(f"{state.edition}: failed: {more} more tiles; --json names them all")
        if state.holder:
            print(f"{state.edition or f'{state.season} {state.kind}, no edition yet'}: {told(state.holder)}")


def table_of(states: list[EditionState | Opening]) -> Table:
    """A row for each product of each edition."""
    table = Table(box=None)
    for heading in ("season", "kind", "edition", "state", "product"):
        table.add_column(heading)
    for heading in ("done", "failed", "left"):
        table.add_column(heading, justify="right")
    for state in states:
        first = (state.season, state.kind, state.edition or "", state.status)
        if isinstance(state, Opening):
            table.add_row(*first)
            continue
        for row, (name, product) in enumerate(state.products.items()):
            counts = (f"{count:,}" for count in (product.done, product.failed, product.left))
            table.add_row(*(first if row == 0 else ("",) * len(first)), name, *counts)
    return table
