"""Bytes to read are known before they are read: what is foretold of a file is what reading it counts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from stook.transforms.amounts import Amounts
from stook.transforms.imagery import reading
from stook.transforms.imagery.asset import Asset
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.reading import Resampling
from stook.transforms.imagery.volume import Piece, PieceSample, bytes_in, grown, stated_bytes
from tests.pipelines.small_season import write_in_blocks
from tests.transforms.archive import EVERYWHERE, HASTY, PLACE, YEAR_2019, Archive, noon

NEIGHBOUR = PLACE.to_crs("EPSG:32632")


@pytest.fixture
def piece(tmp_path: Path) -> Piece:
    """A file of many small blocks of different sizes."""
    archive = Archive(tmp_path, "scaled-1e-4")
    noise = np.random.default_rng(1).integers(500, 600, PLACE.shape) * (np.arange(PLACE.shape.x) > 20)
    archive.add("scene", noon(1), {"red": noise + 500})
    write_in_blocks(archive.file("scene", "red"))
    source = archive.save()
    [item] = search(source, EVERYWHERE, *YEAR_2019, HASTY)
    return Piece(source, item, "red", (PLACE,))


def boxes() -> Iterator[GeoBox]:
    """All of the scene, parts of it, beyond its edge, and in the neighbouring zone."""
    yield from (
        PLACE,
        PLACE[3:20, 30:55],
        PLACE[17:18, 0:1],
        PLACE.pad(30)[0:40, 10:70],
        NEIGHBOUR,
        NEIGHBOUR[5:20, 7:30],
    )


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_what_is_foretold_of_a_window_is_what_reading_counts(piece: Piece, resampling: Resampling) -> None:
    found = set()
    for box in boxes():
        amounts = Amounts()
        with ThreadPoolExecutor(1) as pool:
            wanted = reading.Wanted(piece.source, [(piece.item,)], "red", box)
            list(reading.read([wanted], pool, resampling, HASTY, amounts))
        each = replace(piece, boxes=(box,), resampling=resampling)
        foretold = Asset(piece.source, piece.item, "red", HASTY).opened(partial(bytes_in, each))
        assert foretold == amounts.bytes_read
        assert amounts.assets == 1
        found.add(foretold)
    assert len(found) > 3  # windows of different sizes were compared


def test_beyond_the_scene_nothing_is_read(piece: Piece) -> None:
    far = replace(piece, boxes=(PLACE.pad(200)[0:50, 0:50],))
    assert Asset(piece.source, piece.item, "red", HASTY).opened(partial(bytes_in, far)) == 0


def test_a_size_that_the_catalogue_states_is_taken_by_the_share_of_pixels(piece: Piece) -> None:
    assert stated_bytes(piece) is None
    asset = piece.item.assets["red"]
    asset.extra_fields |= {"file:size": 8000, "proj:shape": [60, 60], "proj:transform": list(PLACE.transform)[:6]}
    piece.item.properties["proj:code"] = "EPSG:32631"
    assert stated_bytes(piece) == pytest.approx(8000)
    assert stated_bytes(replace(piece, boxes=(PLACE[0:30, 0:30],))) == pytest.approx(2000)
    assert stated_bytes(replace(piece, boxes=(PLACE.pad(200)[0:50, 0:50],))) == 0
    sample = PieceSample()
    sample.add([piece])
    volume = sample.volume(readers=1, backoff=HASTY)
    assert (volume.size, volume.stated, volume.opened, volume.unknown) == (pytest.approx(8000), 1, 0, 0)


def test_of_many_pieces_a_few_are_opened_and_the_sum_has_its_error(piece: Piece) -> None:
    windows = [PLACE[row : row + 1 + row % 16, :] for row in range(44)]
    pieces = [replace(piece, boxes=(windows[number % 44],)) for number in range(2000)]
    asset = Asset(piece.source, piece.item, "red", HASTY)
    sizes = [asset.opened(partial(bytes_in, each)) or 0 for each in pieces[:44]]
    truth = sum(sizes[number % 44] for number in range(2000))
    sample = PieceSample()
    sample.add(pieces)
    volume = sample.volume(readers=2, backoff=HASTY)
    assert volume.opened == 48 and volume.error > 0
    assert abs(volume.size - truth) < 4 * volume.error


def test_files_that_are_missing_are_told_and_taken_for_the_mean(piece: Piece) -> None:
    asset = Asset(piece.source, piece.item, "red", HASTY)
    one = asset.opened(partial(bytes_in, piece))
    lost = replace(piece, item=piece.item.clone())
    lost.item.assets["red"].href = "/nowhere/red.tif"
    sample = PieceSample()
    sample.add([piece, lost])
    volume = sample.volume(readers=1, backoff=HASTY)
    assert (volume.opened, volume.unknown) == (1, 1)
    assert volume.size == 2 * (one or 0)


def test_the_estimator_is_unbiased_and_its_error_is_as_large_as_it_says() -> None:
    rng = np.random.default_rng(3)
    members = {"a": rng.gamma(2, 100, 400), "b": rng.gamma(5, 10, 90)}
    truth, found = sum(values.sum() for values in members.values()), []
    for _ in range(2000):
        known = {name: list(rng.choice(values, 20, replace=False)) for name, values in members.items()}
        total, variance = grown(known, {name: len(values) for name, values in members.items()})
        found.append((total, variance))
    totals, variances = np.array(found).T
    assert totals.mean() == pytest.approx(truth, rel=0.01)
    assert np.sqrt(variances.mean()) == pytest.approx(totals.std(), rel=0.05)
    assert grown({"a": [3.0, 5.0]}, {"a": 2}) == (8.0, 0.0)  # all are known
