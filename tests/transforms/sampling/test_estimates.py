"""Estimates in either store: whole or not at all, never changed."""

import pandas as pd
import pytest

from stook.models.errors import InputError
from stook.transforms.sampling import estimates
from stook.transforms.sampling.estimates import COLUMNS, Estimates, name_of
from stook.transforms.store import (
    Address,
    files_in,
    folders_in,
    is_cloud,
    names_below,
    remove_folder,
    write_bytes,
    write_json,
)

TABLE = pd.DataFrame([dict.fromkeys(COLUMNS, "") | {"value": 1.5, "points": 3}], columns=list(COLUMNS))
NOBODY = pd.DataFrame({"point": [1], "lon": [36.0], "lat": [9.0], "holds": [""]})


def summary(made: str, product: str = "cropland", since: str | None = None) -> dict:
    return {"made": made, "edition": "e1", "since": since, "sample": {"product": product}}


def write(season: Address, name: str, **told: str) -> Estimates:
    return Estimates.write(season, name, TABLE, NOBODY, summary(**({"made": "2026-01-01"} | told)))


def test_what_is_written_is_read_back(home: Address) -> None:
    kept = write(home, "one")
    assert kept.folder == home / "estimates" / "e1" / "one"
    pd.testing.assert_frame_equal(kept.table, TABLE)
    assert kept.summary["sample"] == {"product": "cropland"}
    assert names_below(kept.folder) == {"disagreements.csv", "estimates.csv", "estimates.parquet", "summary.json"}
    assert folders_in(kept.folder.parent) == ["one"] and set(files_in(kept.folder.parent, "")) <= {".lock"}


def test_a_set_that_is_asked_for_again_is_the_newest_and_otherwise_unchanged(home: Address) -> None:
    first = write(home, "one")
    again = write(home, "one", made="2027-01-01")
    assert again == first and again.summary["made"] == "2027-01-01"
    other = write(home, "other", made="2026-06-01")
    assert Estimates.newest(home, "e1") == again != other


def test_nothing_half_written_is_left_or_found(home: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(estimates, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write(home, "one")
    assert names_below(home) <= {"estimates/e1/.lock"} and folders_in(home / "estimates/e1") == []
    assert Estimates.newest(home, "e1") is None


def test_what_a_killed_process_left_is_no_set_and_is_written_over(home: Address) -> None:
    left = home / "estimates/e1" / ("one" if is_cloud(home) else ".writing")
    write_bytes(left / "estimates.csv", b"half")
    claim = {"writing": "killed", "files": ["estimates.csv"]}
    write_json(left / "summary.json", claim if is_cloud(home) else summary("2027-01-01"))
    assert Estimates.newest(home, "e1") is None and Estimates.of(home, "e1") == []
    kept = write(home, "one")
    pd.testing.assert_frame_equal(kept.table, TABLE)
    assert Estimates.of(home, "e1") == [kept] and folders_in(left.parent) == ["one"]


def test_a_set_that_was_withdrawn_says_so(home: Address) -> None:
    kept = write(home, "one")
    remove_folder(kept.folder)
    assert Estimates.of(home, "e1") == []
    for what in ("table", "summary"):
        with pytest.raises(InputError, match="one: these estimates are not there any more"):
            getattr(kept, what)


def test_the_newest_is_of_the_product_and_of_one_season_unless_change_is_wanted(home: Address) -> None:
    write(home, "old")
    new = write(home, "new", made="2026-02-01")
    piles = write(home, "piles", made="2026-03-01", product="harvest_piles")
    change = write(home, "new-change", made="2026-04-01", since="e0")
    assert Estimates.newest(home, "e1", "cropland") == new
    assert Estimates.newest(home, "e1") == piles
    assert Estimates.newest(home, "e1", "cropland", change=True) == change
    assert Estimates.newest(home, "e2") is None


def test_the_name_is_the_samples_and_that_of_what_the_figures_rest_on() -> None:
    assert name_of("s-1", {"answers": ["a"]}) == name_of("s-1", {"answers": ["a"]})
    assert name_of("s-1", {"answers": ["a"]}) != name_of("s-1", {"answers": ["b"]})
    assert name_of("s-1", [], change=True).startswith("s-1-") and name_of("s-1", [], change=True).endswith("-change")
