from pathlib import Path

import numpy as np
import planetary_computer
import pytest

from stook.models.errors import InputError
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.plausibility import check_plausible, implausible
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import CLOUD, EVERYWHERE, HASTY, PLACE, VEGETATION, YEAR_2019, Archive, lonlat, noon

NOISE = np.random.default_rng(1).integers(100, 3000, (60, 60))


def test_dark_pixels_decide_what_is_plausible():
    rng = np.random.default_rng(3)
    ground = rng.normal(0.08, 0.02, 1000)
    assert implausible(ground) is None
    assert "reflectance -0.06" in str(implausible(ground - 0.1)) and "allowed -0.02…0.25" in str(
        implausible(ground - 0.1)
    )
    assert implausible(ground + 0.3) is not None
    assert implausible(ground[:100] - 0.1) is None, "too few pixels to tell"


def visible(counts: object, classes: object = VEGETATION) -> dict[str, object]:
    return {"blue": counts, "green": counts, "red": counts, "scl": classes}


def check(archive: Archive) -> None:
    source = archive.save()
    check_plausible(search(source, EVERYWHERE, *YEAR_2019), source, lonlat(PLACE), HASTY)


def test_an_offset_applied_twice_is_found_before_any_tile_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(planetary_computer, "sign", lambda href: href)
    archive = Archive(tmp_path / "archive", "planetary-computer")
    archive.add("S2_old", noon(1), visible(NOISE), **{"s2:processing_baseline": "03.01"})
    archive.add("S2_twice", noon(2), visible(NOISE), **{"s2:processing_baseline": "05.10"})
    with pytest.raises(InputError) as caught:
        check(archive)
    assert "profile planetary-computer, item S2_twice (baseline 05.10)" in str(caught.value)
    assert "allowed -0.02…0.25" in str(caught.value)


def test_one_bright_scene_is_cloud_but_a_bright_archive_is_a_wrong_profile(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("S2_a", noon(1), visible(800))
    archive.add("S2_b", noon(2), visible(800))
    archive.add("S2_bright", noon(3), visible(9000))
    check(archive)
    bright = Archive(tmp_path / "bright", "scaled-1e-4")
    bright.add("S2_bright", noon(1), visible(9000))
    with pytest.raises(InputError, match="the median of items S2_bright: .* reflectance 0.900"):
        check(bright)


def test_clouds_and_unreadable_items_are_not_judged(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("S2_cloud", noon(1), visible(9000, CLOUD))
    archive.add("S2_damaged", noon(2), visible(9000))
    archive.file("S2_damaged", "green").write_bytes(b"")
    check(archive)


def radar(folder: Path, profile: str, values: object, items: int = 2) -> Archive:
    archive = Archive(folder, profile)
    for day in range(1, items + 1):
        archive.add(f"S1_{day}", noon(day), {"vv": values, "vh": values})
    return archive


LEVELS_DB = np.random.default_rng(2).normal(-12, 6, (60, 60))  # with a few above 0 dB, as towns have


def test_backscatter_in_the_unit_of_the_profile_is_plausible(tmp_path: Path):
    check(radar(tmp_path / "dB", "decibel", LEVELS_DB))
    check(radar(tmp_path / "linear", "linear-power", 10 ** (LEVELS_DB / 10)))


def test_decibels_taken_for_power_are_refused_instead_of_vanishing(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        check(radar(tmp_path / "negative", "linear-power", -12.5))
    assert "with profile linear-power, items S1_1, S1_2: the median of stored values, -12.5, becomes no finite" in str(
        caught.value
    )
    assert "allowed -35…-1 dB" in str(caught.value)
    with pytest.raises(InputError, match="no finite power"):  # the few above 0 dB alone would pass for power
        check(radar(tmp_path / "town", "linear-power", LEVELS_DB))


def test_power_taken_for_decibels_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="profile decibel, items S1_1: .* values, 0.0[0-9]+, becomes 0.1 dB"):
        check(radar(tmp_path / "archive", "decibel", 10 ** (LEVELS_DB / 10), items=1))


def test_radar_without_data_or_unreadable_is_not_judged(tmp_path: Path):
    archive = radar(tmp_path / "archive", "linear-power", 0.05, items=3)
    archive.add("S1_fill", noon(4), {"vv": 0, "vh": 0})
    archive.add("S1_hh", noon(5), {})
    archive.file("S1_2", "vv").write_bytes(b"")
    check(archive)
    check(radar(tmp_path / "fill", "linear-power", 0))
    undeclared = np.full((60, 60), -9999.0)
    undeclared[:20] = 0.05
    check(radar(tmp_path / "undeclared", "linear-power", undeclared))
    edge = np.full((60, 60), np.nan)
    edge[0, :10] = -0.001
    check(radar(tmp_path / "edge", "linear-power", edge))


def test_radar_beside_the_region_is_not_judged(tmp_path: Path):
    source = radar(tmp_path / "archive", "linear-power", -12.0).save()
    items = search(source, EVERYWHERE, *YEAR_2019)
    west, south, east, north = lonlat(PLACE)
    check_plausible(items, source, (west + 1, south, east + 1, north), HASTY)


@pytest.mark.shared
def test_real_backscatter_is_plausible_and_not_in_decibels(shared: Path):
    catalog = str(shared / "data/flanders/catalog.json")
    source = Source("sentinel1", catalog, "sentinel-1-sigma0", "linear-power")
    check_plausible(search(source, EVERYWHERE, *YEAR_2019), source, EVERYWHERE)
    wrong = Source("sentinel1", catalog, "sentinel-1-sigma0", "decibel")
    with pytest.raises(InputError, match="becomes 0.1 dB|becomes 0.2 dB|becomes 0.3 dB"):
        check_plausible(search(wrong, EVERYWHERE, *YEAR_2019), wrong, EVERYWHERE)


@pytest.mark.shared
def test_real_scenes_are_plausible(shared: Path):
    source = Source("sentinel2", str(shared / "data/flanders/catalog.json"), "sentinel-2-l2a", "scaled-1e-4")
    items = search(source, EVERYWHERE, *YEAR_2019)
    check_plausible(items, source, EVERYWHERE)


def test_an_untold_fill_value_in_a_single_scene_does_not_refuse_the_season(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(planetary_computer, "sign", lambda href: href)
    archive = Archive(tmp_path / "archive", "planetary-computer")
    baseline = {"s2:processing_baseline": "05.10"}
    for day in (1, 2):
        archive.add(f"S2_{day}", noon(day), visible(NOISE + 1000), **baseline)
    filled = {band: NOISE + 1000 + shift for shift, band in enumerate(("blue", "green", "red"))}
    for counts in filled.values():
        counts[:, :15] = 1  # a quarter of the scene, under classes that are clear
    archive.add("S2_edge", noon(3), filled | {"scl": VEGETATION}, **baseline)
    check(archive)
