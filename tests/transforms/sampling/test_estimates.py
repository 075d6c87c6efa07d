"""Estimates on disk: whole or not at all, never changed."""

from pathlib import Path

import pandas as pd
import pytest

from transforms.sampling import estimates
from transforms.sampling.estimates import COLUMNS, Estimates, name_of

TABLE = pd.DataFrame([dict.fromkeys(COLUMNS, "") | {"value": 1.5, "points": 3}], columns=list(COLUMNS))
NOBODY = pd.DataFrame({"point": [1], "lon": [36.0], "lat": [9.0], "holds": [""]})


def summary(made: str, product: str = "cropland", since: str | None = None) -> dict:
    return {"made": made, "edition": "e1", "since": since, "sample": {"product": product}}


def write(season: Path, name: str, **told: str) -> Estimates:
    return Estimates.write(season, name, TABLE, NOBODY, summary(**({"made": "2026-01-01"} | told)))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    kept = write(tmp_path, "one")
    assert kept.folder == tmp_path / "estimates" / "e1" / "one"
    pd.testing.assert_frame_equal(kept.table, TABLE)
    assert kept.summary["sample"] == {"product": "cropland"}
    assert sorted(path.name for path in kept.folder.iterdir()) == [
        "disagreements.csv",
        "estimates.csv",
        "estimates.parquet",
        "summary.json",
    ]
    assert sorted(path.name for path in (tmp_path / "estimates").iterdir()) == [".lock", "e1"]


def test_a_set_that_is_asked_for_again_is_the_newest_and_otherwise_unchanged(tmp_path: Path) -> None:
    first = write(tmp_path, "one")
    again = write(tmp_path, "one", made="2027-01-01")
    assert again == first and again.summary["made"] == "2027-01-01"
    other = write(tmp_path, "other", made="2026-06-01")
    assert Estimates.newest(tmp_path, "e1") == again != other


def test_nothing_half_written_is_left_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(estimates, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "one")
    assert [path.name for path in (tmp_path / "estimates").rglob("*")] == [".lock"]
    assert Estimates.newest(tmp_path, "e1") is None


def test_the_newest_is_of_the_product_and_of_one_season_unless_change_is_wanted(tmp_path: Path) -> None:
    write(tmp_path, "old")
    new = write(tmp_path, "new", made="2026-02-01")
    piles = write(tmp_path, "piles", made="2026-03-01", product="harvest_piles")
    change = write(tmp_path, "new-change", made="2026-04-01", since="e0")
    assert Estimates.newest(tmp_path, "e1", "cropland") == new
    assert Estimates.newest(tmp_path, "e1") == piles
    assert Estimates.newest(tmp_path, "e1", "cropland", change=True) == change
    assert Estimates.newest(tmp_path, "e2") is None


def test_the_name_is_the_samples_and_that_of_what_the_figures_rest_on() -> None:
    assert name_of("s-1", {"answers": ["a"]}) == name_of("s-1", {"answers": ["a"]})
    assert name_of("s-1", {"answers": ["a"]}) != name_of("s-1", {"answers": ["b"]})
    assert name_of("s-1", [], change=True).startswith("s-1-") and name_of("s-1", [], change=True).endswith("-change")
