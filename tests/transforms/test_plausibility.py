from pathlib import Path

import numpy as np
import planetary_computer
import pytest

from models.errors import InputError
from tests.transforms.archive import CLOUD, EVERYWHERE, HASTY, PLACE, VEGETATION, YEAR_2019, Archive, lonlat, noon
from transforms.catalog import search
from transforms.plausibility import check_plausible, implausible
from transforms.sources import Source

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


@pytest.mark.shared
def test_real_scenes_are_plausible(shared: Path):
    source = Source("sentinel2", str(shared / "data/flanders/catalog.json"), "sentinel-2-l2a", "scaled-1e-4")
    items = search(source, EVERYWHERE, *YEAR_2019)
    check_plausible(items, source, EVERYWHERE)
