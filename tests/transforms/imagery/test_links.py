"""What somebody else wrote into a catalogue decides nothing about what is opened on this machine."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stook.models.errors import InputError, StookError, TileError
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.links import Reach, carries_secret, path_of, scheme_of
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import EVERYWHERE, HASTY, PLACE, YEAR_2019, Archive, noon
from tests.transforms.imagery.faulty_server import Fault, faulty, serve_api
from tests.transforms.imagery.test_reading import NOISE, june, read

VRT = """<VRTDataset rasterXSize="60" rasterYSize="60"><SRS>EPSG:32631</SRS>
<GeoTransform>500000, 10, 0, 5600000, 0, -10</GeoTransform><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>
<SourceFilename relativeToVRT="0">{path}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("june", noon(1), {"blue": NOISE})
    return archive


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def linking(archive: Archive, href: Any) -> Source:
    """The source, with another link in its only asset."""
    source = archive.save()
    edit(
        archive.file("june", "blue").with_name("june.json"),
        lambda item: item["assets"]["blue"].update({"href": href}),
    )
    return source


def refusal(source: Source) -> str:
    with pytest.raises(InputError) as caught:
        search(source, EVERYWHERE, *YEAR_2019, HASTY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


LEADING_OUT = [
    "../../../outside.tif",
    "/etc/passwd",
    "file:///etc/passwd",
    "file://elsewhere/etc/passwd",
    "/vsicurl/http://127.0.0.1/x.tif",
    "/vsizip//vsicurl/http://127.0.0.1/x.zip/x.tif",
    "/vsimem/x",
    "/vsistdin/",
    "zip:///etc/x.zip!x.tif",
    "zip+https://127.0.0.1/x.zip!x.tif",
    "tar+file:///etc/x.tar!x.tif",
    "vrt:///etc/x.tif?bands=1",
    'NETCDF:"/etc/x.nc":band',
    "ftp://127.0.0.1/x.tif",
    "WMS:http://127.0.0.1/wms",
    VRT.format(path="/etc/passwd"),
    "blue.tif\n/etc/passwd",
    "",
    5,
    None,
]


@pytest.mark.parametrize("href", LEADING_OUT)
def test_a_link_that_leads_out_of_the_catalogues_folder_is_refused_by_name(archive: Archive, href: Any) -> None:
    text = refusal(linking(archive, href))
    assert "item june" in text
    if isinstance(href, str) and href:
        assert "item june: asset blue: link " in text and "is refused" in text


@pytest.mark.parametrize("href", [*LEADING_OUT, "//../etc/passwd"])
def test_a_catalogue_behind_http_names_no_file_of_this_machine(archive: Archive, href: Any) -> None:
    source = linking(archive, href)
    with faulty(archive.writer.folder) as server:
        remote = replace(source, catalog=f"{server.url}/catalog.json")
        try:
            scenes = june(remote)
        except InputError as error:
            assert "item june" in str(error)
            return
        # A path counts from the server's root there, and cannot be told from a file of it.
        assert scenes[0][0].assets["blue"].href.startswith("http://")
        with pytest.raises(StookError):
            read(remote, scenes, "blue", PLACE, backoff=HASTY)


def test_symbolic_links_do_not_lead_out_either(archive: Archive, tmp_path: Path) -> None:
    source, path = archive.save(), archive.file("june", "blue")
    path.rename(tmp_path / "outside.tif")
    path.symlink_to(tmp_path / "outside.tif")
    assert "outside the catalogue's folder; imagery.sentinel2.folders can allow" in refusal(source)
    allowed = replace(source, folders=(str(tmp_path),))
    np.testing.assert_allclose(read(allowed, june(allowed), "blue", PLACE)[0], NOISE * 1e-4, rtol=1e-6)


def test_another_folder_can_be_allowed(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    archive.save()
    archive.file("june", "blue").rename(tmp_path / "elsewhere" / "blue.tif")
    source = linking(archive, "../../../elsewhere/blue.tif")
    assert "outside the catalogue's folder" in refusal(source)
    assert len(june(replace(source, folders=(str(tmp_path / "elsewhere"),)))) == 1
    refusal(replace(source, folders=(str(tmp_path / "elsewher"),)))


@pytest.mark.parametrize("folder", ["été #1", "100 % sûr", "a%20b", "où?", "d'août; 2"])
def test_a_catalogue_is_read_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("june", noon(1), {"blue": NOISE})
    source = archive.save()
    (tmp_path / "archive").rename(tmp_path / folder)
    moved = replace(source, catalog=str(tmp_path / folder / "catalog.json"))
    np.testing.assert_allclose(read(moved, june(moved), "blue", PLACE)[0], NOISE * 1e-4, rtol=1e-6)


def test_a_file_of_a_catalogue_may_have_any_name(archive: Archive) -> None:
    archive.save()
    path = archive.file("june", "blue")
    path.rename(path.with_name("bleu #1 (50 %)?.tif"))
    source = linking(archive, "./bleu #1 (50 %)?.tif")
    np.testing.assert_allclose(read(source, june(source), "blue", PLACE)[0], NOISE * 1e-4, rtol=1e-6)


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("/été #1/10 %?.jp2", "/été #1/10 %?.jp2"),
        ("file:///%C3%A9t%C3%A9%20%231/x.jp2", "/été #1/x.jp2"),
        ("https://archive.example/x.jp2?sig=1#part", "/x.jp2"),
    ],
)
def test_only_an_address_has_a_query(href: str, path: str) -> None:
    assert path_of(href) == path


@pytest.mark.parametrize("path", ["C:/maps/catalog.json", "c:\\maps\\catalog.json", "/maps/catalog.json", "maps.json"])
def test_a_drive_of_windows_is_no_scheme(path: str) -> None:
    assert scheme_of(path) == ""


@pytest.mark.parametrize("relation", ["child", "item"])
@pytest.mark.parametrize("href", ["../../secret.json", "/etc/passwd", "file:///etc/passwd", "/vsicurl/http://x/y.json"])
def test_links_between_documents_are_bound_alike(archive: Archive, relation: str, href: str) -> None:
    source = archive.save()
    holder = archive.writer.folder / ("catalog.json" if relation == "child" else "scenes/collection.json")
    edit(holder, lambda content: content["links"].append({"rel": relation, "href": href}))
    assert f"{relation}: link " in refusal(source)


def test_a_folder_may_link_to_servers_but_to_no_others_than_are_allowed(archive: Archive) -> None:
    source = archive.save()
    with faulty(archive.writer.folder) as server:
        source = linking(archive, f"{server.url}/scenes/june/blue.tif")
        edit(archive.file("june", "blue").with_name("june.json"), lambda item: None)
        read(source, june(source), "blue", PLACE, backoff=HASTY)
        read(allowed := replace(source, hosts=("127.0.0.*",)), june(allowed), "blue", PLACE, backoff=HASTY)
        text = refusal(replace(source, hosts=("archive.example", "*.other.example")))
    assert "item june: asset blue: link 'http://127.0.0.1" in text
    assert "imagery.sentinel2.hosts allows archive.example, *.other.example" in text


def test_the_catalogues_own_host_is_always_allowed(archive: Archive) -> None:
    source = archive.save()
    with faulty(archive.writer.folder) as server:
        own = replace(source, catalog=f"{server.url}/catalog.json", hosts=("assets.example",))
        assert len(june(own)) == 1


def test_a_redirect_to_another_host_is_refused(archive: Archive) -> None:
    source = archive.save()
    with faulty(archive.writer.folder) as server:
        there = {"Location": "http://localhost:9/catalog.json"}
        server.faults.append(Fault("status", "/scenes/june/june.json", status=302, headers=there))
        remote = replace(source, catalog=f"{server.url}/catalog.json", hosts=("127.0.0.1",))
        assert "imagery.sentinel2.hosts allows 127.0.0.1" in refusal(remote)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_to_what_is_no_web_address_is_refused(archive: Archive, target: str) -> None:
    source = archive.save()
    with faulty(archive.writer.folder) as server:
        server.faults.append(Fault("status", "/scenes/june/june.json", status=302, headers={"Location": target}))
        assert "is refused" in refusal(replace(source, catalog=f"{server.url}/catalog.json"))


def test_an_api_is_bound_too(archive: Archive) -> None:
    saved = list(search(archive.save(), EVERYWHERE, *YEAR_2019))
    for item in saved:
        item.assets["blue"].href = "file:///etc/passwd"
    with faulty(archive.writer.folder) as server:
        source = replace(archive.save(), catalog=serve_api(server, "scenes", saved))
        assert "a file of this machine, but the catalogue is not" in refusal(source)


@pytest.mark.parametrize("secret", ["?sig=abc&se=2030", "?X-Amz-Signature=abc", "?token=abc", "?sp=r&SIG=abc"])
def test_links_with_tokens_are_refused_and_the_token_is_not_told(archive: Archive, secret: str) -> None:
    text = refusal(linking(archive, f"https://archive.example/blue.tif{secret}"))
    assert "it carries a token, which would be kept with the edition" in text and "abc" not in text
    assert "a user name or password" in refusal(linking(archive, "https://me:abc@archive.example/blue.tif"))


def test_a_catalogue_with_a_password_in_its_address_is_refused() -> None:
    with pytest.raises(InputError, match=r"imagery\.sentinel2\.catalog: https://…@archive\.example/c carries a user"):
        Source("sentinel2", "https://me:secret@archive.example/c", "scenes", "scaled-1e-4")
    assert carries_secret("https://archive.example/c?limit=5") is None


@pytest.mark.parametrize("name", ["blue.tif", "blue.vrt", "blue.jp2", "blue"])
def test_a_text_that_names_other_files_is_not_opened_whatever_it_is_called(archive: Archive, name: str) -> None:
    source = archive.save()
    path = archive.file("june", "blue")
    real = path.rename(path.with_name("real.tif"))
    path.with_name(name).write_text(VRT.format(path=real))
    source = linking(archive, f"./{name}")
    with pytest.raises(TileError, match="june: corrupt asset blue"):
        read(source, june(source), "blue", PLACE, backoff=HASTY)


def test_paths_below_the_folder_and_beside_it_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    reach = Reach(str(tmp_path / "a" / "catalog.json"), "sentinel2")
    base = str(tmp_path / "a" / "catalog.json")
    assert reach.resolved("./b/../c.tif", base, "x") == str(tmp_path / "a" / "c.tif")
    assert reach.resolved(str(tmp_path / "a" / "c.tif"), base, "x") == str(tmp_path / "a" / "c.tif")
    assert reach.resolved(f"file://{tmp_path}/a/c%20d.tif", base, "x") == str(tmp_path / "a" / "c d.tif")
    with pytest.raises(InputError):
        reach.resolved(str(tmp_path / "ab" / "c.tif"), base, "x")


def test_side_car_files_are_not_looked_for(archive: Archive) -> None:
    source, path = archive.save(), archive.file("june", "blue")
    metadata = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>{}</NoDataValue></PAMRasterBand></PAMDataset>"
    path.with_name("blue.tif.aux.xml").write_text(metadata.format(NOISE[0, 0]))
    path.with_name("blue.tfw").write_text("20\n0\n0\n-20\n0\n0\n")
    for name in ("blue.tif.msk", "blue.tif.ovr"):
        path.with_name(name).write_text(VRT.format(path="/etc/passwd"))
    np.testing.assert_allclose(read(source, june(source), "blue", PLACE)[0], NOISE * 1e-4, rtol=1e-6)
