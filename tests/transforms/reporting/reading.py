"""Published files read back by libraries that did not write them, and compared value by value."""

from pathlib import Path

import pandas as pd
import pyogrio
import sdmx

from stook.transforms.reporting.observations import DIMENSIONS

NUMBERS = ("OBS_VALUE", "STANDARD_ERROR", "LOW", "HIGH", "INTERVAL_PERCENT", "PUBLISHED_VALUE", "THRESHOLD_PERCENT",
           "POINTS")  # fmt: skip


def differing_in_sdmx(folder: Path, table: pd.DataFrame) -> int:
    """How many values of observations differ when ``data.csv`` is read by ``sdmx1`` with ``structure.xml``.

    Observations are matched by their dimensions; one that is on one side only counts as all of its values.
    """
    structure = sdmx.read_sdmx(folder / "structure.xml").structure["DSD_LAND"]
    message = sdmx.read_sdmx(folder / "data.csv", structure=structure)
    [data] = message.data
    read = {
        tuple(str(one.dimension.values[name].value) for name in DIMENSIONS): {"OBS_VALUE": str(one.value)}
        | {name: str(told.value) for name, told in one.attached_attribute.items()}
        for one in data.obs
    }
    columns = [name for name in table if name not in DIMENSIONS]
    differing = len(columns) * abs(len(read) - len(table))
    for row in table.astype(object).to_dict("records"):
        found = read.get(tuple(row[name] for name in DIMENSIONS))
        if found is None:
            differing += len(columns)
            continue
        differing += sum(not same(found[name], row[name], name in NUMBERS) for name in columns)
    return differing


def same(text: str, value: object, numeric: bool) -> bool:
    """Whether a text of the file is a value of the table; nothing is an empty text, or NaN."""
    if pd.isna(value):
        return text in ("", "NaN")
    return float(text) == float(str(value)) if numeric and text else text == str(value)


def differing_in_layers(path: Path, table: pd.DataFrame) -> int:
    """How many values differ when each product's layer of a GeoPackage is read by GDAL; of a missing layer all."""
    layers = {name for name, _ in pyogrio.list_layers(path)}
    differing = 0
    for product, part in table.groupby("product", sort=False):
        if product not in layers:
            differing += part.size
            continue
        read = pyogrio.read_dataframe(path, layer=str(product))
        if len(read) != len(part) or read.geometry.isna().any():
            differing += part.size
            continue
        for column in part:
            one, other = read[column].astype(object), part[column].astype(object).reset_index(drop=True)
            equal = (one == other) | (one.isna() & other.isna()) | (one.isna() & (other == ""))
            differing += int((~equal.astype(bool)).sum())
    return differing
