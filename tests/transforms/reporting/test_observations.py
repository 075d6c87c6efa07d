"""Tables as observations: codes, states and comments of single values."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stook.transforms.imagery.season import Season
from stook.transforms.reporting.columns import AREAS
from stook.transforms.reporting.observations import area_codes, code_of, observations
from stook.transforms.reporting.sdmx import write_observations
from tests.transforms.reporting.reading import differing_in_sdmx


@dataclass
class MadeUp:
    """As much of an edition as observations look at."""

    id: str = "20260101T000000Z-abcdef"
    plan: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(season=Season("long-rains", 2024), provisional=False, products=())
    )


def areas(**columns: object) -> pd.DataFrame:
    """One row of a counted product, with some columns changed."""
    row = {name: 1.5 for name in AREAS if name.endswith("_ha")} | {name: 1 for name in AREAS if name.endswith("_dm2")}
    row |= {"level": "unit", "id": "U 1", "name": 'Üçler, "the" first', "product": "harvest_piles"}
    row |= {"season": "long-rains-2024", "provisional": False, "threshold_percent": 50, "method": "counted\nlong"}
    row |= {"expected_ha": np.nan, "standard_error_ha": np.nan, "low_ha": np.nan, "high_ha": np.nan}
    row |= {"cells": 10, "cells_mapped": 4, "cells_of_class": 1, "share_of_cells": 0.25}
    row |= {"edition": MadeUp.id, "boundary_vintage": "2020"}
    return pd.DataFrame([row | columns])


def table(**columns: object) -> pd.DataFrame:
    return observations(MadeUp(), areas(**columns), None).table.set_index("MEASURE")  # type: ignore[arg-type]


def test_each_measure_says_what_it_is_of() -> None:
    found = table()
    assert found.loc["AREA", ["CLASS", "UNIT_MEASURE", "ESTIMATOR", "OBS_STATUS"]].tolist() == [
        "PILES", "HA", "PIXEL_COUNT", "E"]  # fmt: skip
    assert found.loc["TOTAL", ["CLASS", "OBS_STATUS", "COMMENT_OBS"]].tolist() == ["_Z", "A", ""]
    assert found.loc["CELLS", ["UNIT_MEASURE", "OBS_VALUE"]].tolist() == ["NUMBER", 10]
    assert found.loc["SHARE_OF_CELLS", ["UNIT_MEASURE", "OBS_VALUE"]].tolist() == ["SHARE", 0.25]
    assert "EXPECTED" not in found.index
    assert set(found["TIME_PERIOD"] + found["SEASON"]) == {"2024long-rains"}
    assert set(found["METHOD"]) == {"counted long"}


def test_a_provisional_season_says_so_of_every_value() -> None:
    assert set(table(provisional=True)["OBS_STATUS"]) == {"P"}


def test_a_share_of_no_cells_cannot_exist() -> None:
    found = table(cells_mapped=0, cells_of_class=0, share_of_cells=np.nan)
    assert found.loc["SHARE_OF_CELLS", "OBS_STATUS"] == "M"
    assert np.isnan(found.loc["SHARE_OF_CELLS", "OBS_VALUE"])


def test_the_same_figure_twice_is_a_fault() -> None:
    with pytest.raises(ValueError, match="same dimensions"):
        observations(MadeUp(), pd.concat([areas(), areas()]), None)  # type: ignore[arg-type]


def test_names_and_ids_of_any_script_read_back(tmp_path: Path) -> None:
    found = observations(MadeUp(), areas(), None)  # type: ignore[arg-type]
    write_observations(found, tmp_path)
    assert differing_in_sdmx(tmp_path / "sdmx", found.table) == 0
    assert set(found.table["REF_AREA"]) == {"U$00201"}
    assert found.codes["REF_AREA"] == {"U$00201": 'Üçler, "the" first'}


def test_a_code_is_the_id_unless_another_level_has_the_same() -> None:
    places = [("unit", "ET-TI"), ("parent 1", "01"), ("parent 2", "01"), ("region", "horn")]
    assert list(area_codes(places).values()) == ["ET-TI", "01@parent$00201", "01@parent$00202", "horn"]


@given(st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=6, unique=True))
def test_codes_differ_as_ids_do(ids: list[str]) -> None:
    codes = [code_of(text) for text in ids]
    assert len(set(codes)) == len(ids)
    assert all(set(code) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-$") for code in codes)
