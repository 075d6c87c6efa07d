"""Simulated places that no network was trained on: one of the country it knows, one of another country."""

from dataclasses import replace
from pathlib import Path

from stook.models.bundle import load_bundle
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, DemoPlace, write_place
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.simulation.country import PLATEAU
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit

TILE_PX, SIDE_M = 200, 4000.0
SEEN = Place(longitude=37.6, latitude=8.2, width_m=SIDE_M, height_m=SIDE_M, seed=901)
UNSEEN = Place(longitude=34.9, latitude=12.1, width_m=SIDE_M, height_m=SIDE_M, seed=902, country=PLATEAU)
PLACES = {"seen": SEEN, "unseen": UNSEEN}
TOLD = {
    "seen": "simulated place of the country that was trained on",
    "unseen": "simulated place of a country with other fields, roofs and seasons, never trained on",
}


def mapped(folder: Path, place: Place, product: str, revisit: Revisit | None) -> tuple[DemoPlace, Edition]:
    """One product of the demonstration's at a place, in the months that its season has there."""
    section = {key: DEMO_PRODUCTS[product][key] for key in ("bundle", "window")}
    if product == "harvest_piles":
        # A model of pictures does not know the month; the harvest of the other country is at another time of the year.
        bundle = load_bundle(section["bundle"])
        start = bundle.conditions.start_month + round(place.country.season_shift_days / 30)
        bundle.conditions = replace(bundle.conditions, start_month=start)
        bundle.save(folder / "bundle")
        window = {"start": {"month": start, "year": 0}, "months": bundle.conditions.months}
        section = {"bundle": folder / "bundle", "window": window}
    written = write_place(folder, place, TILE_PX, {product: section}, revisit)
    return written, run_map(load(written.config, MapConfiguration), YEAR, JsonReporter()).edition
