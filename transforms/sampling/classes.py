"""The two classes that reference points are judged by, for each map that has any."""

CLASSES: dict[str, tuple[str, str]] = {
    "cropland": ("other", "cropland"),
    "cropland_smoothed": ("other", "cropland"),
    "harvest_piles": ("no piles", "piles"),
    "farmed_cells": ("not farmed", "farmed"),
}
SHARES = frozenset({"building_coverage"})  # of which the interpreter tells the percent of the cell that is covered
