"""A catalogue and its files in Google Cloud Storage, for which an emulator on this machine speaks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stook.models.errors import InputError, StookError, TileError, UnreachableError
from stook.transforms.imagery import fetching
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.sources import Source
from stook.transforms.store import address_of, write_bytes
from tests.transforms.archive import EVERYWHERE, HASTY, PLACE, YEAR_2019, Archive, noon
from tests.transforms.imagery.test_reading import NOISE, june, read


@pytest.fixture
def source(tmp_path: Path, bucket: str) -> Source:
    """An archive of one scene in a bucket."""
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("june", noon(1), {"blue": NOISE})
    source = archive.save()
    home = f"{bucket}/{tmp_path.name}"
    for file in archive.writer.folder.rglob("*"):
        if file.is_file():
            write_bytes(address_of(f"{home}/{file.relative_to(archive.writer.folder)}"), file.read_bytes())
    return replace(source, catalog=f"{home}/catalog.json")


def linking(source: Source, href: str) -> Source:
    """The source, with another link in its only asset."""
    place = address_of(f"{source.catalog.removesuffix('/catalog.json')}/scenes/june/june.json")
    item = json.loads(place.read_text())
    item["assets"]["blue"]["href"] = href
    write_bytes(place, json.dumps(item).encode())
    return source


def test_pixels_come_from_the_bucket(source: Source) -> None:
    scenes = june(source)
    assert scenes[0][0].assets["blue"].href.startswith("gs://")
    np.testing.assert_allclose(read(source, scenes, "blue", PLACE, backoff=HASTY)[0], NOISE * 1e-4, rtol=1e-6)


def test_what_is_not_there_is_named(source: Source) -> None:
    with pytest.raises(InputError, match=r"none\.json: answers HTTP 404"):
        search(replace(source, catalog=source.catalog.replace("catalog", "none")), EVERYWHERE, *YEAR_2019, HASTY)
    with pytest.raises(TileError, match=r"june: missing asset blue \(gs://"):
        read(source, june(linking(source, "./none.tif")), "blue", PLACE, backoff=HASTY)


def test_a_bucket_that_is_not_there_is_not_a_missing_file(source: Source) -> None:
    with pytest.raises(UnreachableError, match="unreachable .there is no such bucket"):
        read(source, june(linking(source, "gs://no-such-bucket-of-ours/none.tif")), "blue", PLACE, backoff=HASTY)


@pytest.mark.parametrize("href", ["/etc/passwd", "file:///etc/passwd", "/vsigs/other/x.tif", "../../../../etc/passwd"])
def test_a_catalogue_in_a_bucket_names_no_file_of_this_machine(source: Source, href: str) -> None:
    with pytest.raises(StookError) as caught:
        read(source, june(linking(source, href)), "blue", PLACE, backoff=HASTY)
    refused = isinstance(caught.value, InputError) and "is refused" in str(caught.value)
    assert refused or "gs://" in str(caught.value).partition("june: ")[2]


def test_other_buckets_can_be_shut_out(source: Source) -> None:
    linking(source, "gs://another/blue.tif")
    with pytest.raises(InputError, match=r"link 'gs://another/blue\.tif' is refused: imagery\.sentinel2\.hosts allows"):
        search(replace(source, hosts=("maps-of-*",)), EVERYWHERE, *YEAR_2019, HASTY)


def test_a_document_larger_than_the_bound_is_refused(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="allowed are 0 in one document"):
        search(source, EVERYWHERE, *YEAR_2019, HASTY)
