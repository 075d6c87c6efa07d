"""``stook status``: what is open, published and failed, why, and who is at work."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from models.errors import InputError
from pipelines.configuration import MapConfiguration
from transforms.editions.lease import told
from transforms.editions.season_folder import season_folders
from transforms.editions.state import EditionState, states_in
from transforms.store import address_of

CAUSES_SHOWN = 5


def run_status(config: MapConfiguration, year: int | None) -> list[EditionState]:
    """Every edition of the configuration's seasons, or of one, oldest season and edition first.

    Raises:
        InputError: If there is none.
    """
    output = address_of(config.output)
    seasons = season_folders(output, config.name, config.season.name)
    folders = [folder for each, folder in seasons.items() if year in (None, each)]
    states = [state for folder in folders for state in states_in(folder)]
    if not states:
        where = output / config.name
        raise InputError(f"{where}: there is no edition{f' of {year}' if year else ''}; make one with 'stook map'")
    return states


def print_states(states: list[EditionState], as_json: bool) -> None:
    """Print them as JSON lines, or as a table with the causes of failures."""
    if as_json:
        for state in states:
            print(json.dumps(asdict(state) | {"complete": state.complete}, ensure_ascii=False))
        return
    table = Table(box=None)
    for heading in ("season", "edition", "state", "product"):
        table.add_column(heading)
    for heading in ("done", "failed", "left"):
        table.add_column(heading, justify="right")
    for state in states:
        for row, (name, product) in enumerate(state.products.items()):
            first = (state.season, state.edition, state.status) if row == 0 else ("", "", "")
            table.add_row(*first, name, *(f"{count:,}" for count in (product.done, product.failed, product.left)))
    Console(width=120).print(table)
    for state in states:
        for tile, causes in list(state.failed.items())[:CAUSES_SHOWN]:
            print(f"{state.edition}: failed: {tile}: {'; '.join(f'{name}: {why}' for name, why in causes.items())}")
        if (more := len(state.failed) - CAUSES_SHOWN) > 0:
            print(f"{state.edition}: failed: {more} more tiles; --json names them all")
        if state.holder:
            print(f"{state.edition}: {told(state.holder)}")
