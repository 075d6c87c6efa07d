"""Items in the forms in which archives publish them today, each read with its profile."""

import json
from pathlib import Path
from typing import Any

import pystac
import pytest

from stook.transforms.imagery.catalog import acquisition, search
from stook.transforms.imagery.sources import SENSOR_BANDS, Source, baseline
from tests.transforms.archive import EVERYWHERE, HASTY, YEAR_2019

BOX = [2.9, 50.4, 4.5, 51.5]
RING = [[2.9, 50.4], [4.5, 50.4], [4.5, 51.5], [2.9, 51.5], [2.9, 50.4]]
SAFE = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL")
NAMES = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22", "scl")
NATIVE = (10, 10, 10, 20, 20, 20, 10, 20, 20, 20, 20)
STRIP = "S2A_OPER_MSI_L2A_DS_S2RP_20230601T101010_S20190601T105031_N05.00"


def item(assets: dict[str, Any], properties: dict[str, Any], version: str = "1.0.0", **fields: Any) -> dict[str, Any]:
    """An item of 1 June 2019 over Flanders."""
    return {
        "type": "Feature", "stac_version": version, "id": "the-item", "bbox": BOX, "links": [],
        "geometry": {"type": "Polygon", "coordinates": [RING]}, "assets": assets,
        "properties": {"datetime": "2019-06-01T10:50:31.024000Z", "platform": "sentinel-2a"} | properties,
    } | fields  # fmt: skip


def cogs(keys: tuple[str, ...], where: str, **fields: Any) -> dict[str, Any]:
    kind = "image/tiff; application=geotiff; profile=cloud-optimized"
    return {key: {"href": f"{where}/{key}.tif", "type": kind, "roles": ["data"], **fields} for key in keys}


EARTH_SEARCH = item(
    cogs(NAMES, "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/31/U/FS/2019/6/S2A",
         **{"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]})
    | {f"{key}-jp2": {"href": f"s3://sentinel-s2-l2a/tiles/31/U/FS/{key}.jp2"} for key in NAMES}
    | {"thumbnail": {"href": "https://sentinel-cogs.s3.us-west-2.amazonaws.com/S2A/thumbnail.jpg"}},
    {"grid:code": "MGRS-31UFS", "s2:processing_baseline": "05.00", "s2:datastrip_id": STRIP, "proj:epsg": 32631,
     "earthsearch:boa_offset_applied": True, "updated": "2023-08-01T00:00:00Z"},
)  # fmt: skip
EARTH_SEARCH_C1 = item(
    cogs(NAMES, "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com/sentinel-2-c1-l2a/31/U/FS/S2A",
         **{"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]}),
    {"grid:code": "MGRS-31UFS", "s2:processing_baseline": "05.00", "s2:datastrip_id": STRIP, "proj:code": "EPSG:32631"},
)  # fmt: skip
PLANETARY_COMPUTER = item(
    cogs(SAFE, "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/31/U/FS/2019/06/01/S2A"),
    {"s2:mgrs_tile": "31UFS", "platform": "Sentinel-2A", "s2:processing_baseline": "05.00", "s2:datastrip_id": STRIP,
     "proj:epsg": 32631},
)  # fmt: skip
PLANETARY_COMPUTER_RTC = item(
    cogs(("vv", "vh"), "https://sentinel1euwestrtc.blob.core.windows.net/sentinel1-grd-rtc/GRD/2019/6/1/S1A"),
    {"platform": "SENTINEL-1A", "constellation": "Sentinel-1", "sar:product_type": "GRD",
     "sat:orbit_state": "ascending", "proj:code": "EPSG:32631", "proj:transform": [10, 0, 500000, 0, -10, 5700000]},
)  # fmt: skip
COPERNICUS = item(
    {
        f"{key}_{native}m": {
            "href": f"s3://eodata/Sentinel-2/MSI/L2A/2019/06/01/S2A.SAFE/{key}_{native}m.jp2",
            "type": "image/jp2", "proj:code": "EPSG:32631", "nodata": 0, "data_type": "uint16",
            "bands": [{"name": key}], "raster:scale": 0.0001, "raster:offset": -0.1,
            "alternate": {"https": {"href": f"https://download.dataspace.copernicus.eu/{key}", "auth:refs": ["oidc"]}},
        }
        for key, native in zip(SAFE, NATIVE, strict=True)
    },
    {"datetime": "2019-06-01T10:50:31.024Z", "grid:code": "MGRS-31UFS", "processing:version": "05.00",
     "eopf:datastrip_id": STRIP, "product:type": "S2MSI2A", "constellation": "sentinel-2"},
    version="1.1.0",
)  # fmt: skip
AFRICA = item(
    cogs(SAFE, "s3://deafrica-sentinel-2/sentinel-s2-l2a-cogs/31/U/FS/2019/6/S2A",
         **{"eo:bands": [{"name": "any"}], "proj:shape": [10980, 10980]}),
    {"odc:region_code": "31UFS", "odc:product": "s2_l2a", "proj:epsg": 32631, "constellation": "sentinel-2",
     "sentinel:utm_zone": 31, "sentinel:data_coverage": 100},
)  # fmt: skip
AFRICA_RTC = item(
    cogs(("vv", "vh", "angle", "area", "mask"), "s3://deafrica-sentinel-1/s1_rtc/N50E003/2019/06/01/04E3F5"),
    {"odc:product": "s1_rtc", "platform": "sentinel-1a", "sar:product_type": "RTC", "proj:epsg": 4326,
     "sat:orbit_state": "descending"},
)  # fmt: skip

ARCHIVES = {
    "earth-search": (EARTH_SEARCH, "sentinel2", 0.0),
    "earth-search-c1": (EARTH_SEARCH_C1, "sentinel2", -0.1),
    "planetary-computer": (PLANETARY_COMPUTER, "sentinel2", -0.1),
    "planetary-computer-rtc": (PLANETARY_COMPUTER_RTC, "sentinel1", 0.0),
    "copernicus": (COPERNICUS, "sentinel2", -0.1),
    "digital-earth-africa": (AFRICA, "sentinel2", 0.0),
    "linear-power": (AFRICA_RTC, "sentinel1", 0.0),
}


@pytest.mark.parametrize("profile", ARCHIVES)
def test_every_band_is_found_and_calibrated_as_the_archive_means(tmp_path: Path, profile: str) -> None:
    content, sensor, offset = ARCHIVES[profile]
    (tmp_path / "item.json").write_text(json.dumps(content | {"collection": "scenes"}))
    extent = {"spatial": {"bbox": [EVERYWHERE]}, "temporal": {"interval": [[None, None]]}}
    collection = {
        "type": "Collection", "stac_version": "1.0.0", "id": "scenes", "description": "", "license": "x",
        "extent": extent, "links": [{"rel": "item", "href": "./item.json"}],
    }  # fmt: skip
    (tmp_path / "catalog.json").write_text(json.dumps(collection))
    source = Source(sensor, str(tmp_path / "catalog.json"), "scenes", profile)
    [found] = search(source, EVERYWHERE, *YEAR_2019, HASTY)
    assets = source.assets_of(found)
    assert set(assets) == set(SENSOR_BANDS[sensor])
    assert {asset.href.partition("://")[0] for asset in assets.values()} <= {"https", "s3"}
    for band in set(assets) - {"scl"}:
        assert source.archive.offset(found, band) == offset
    if "datastrip" in json.dumps(content):
        assert baseline(found) == "05.00"


def test_strips_and_tiles_of_every_archive_are_told_apart() -> None:
    read = [pystac.Item.from_dict(content) for content in (EARTH_SEARCH, PLANETARY_COMPUTER, COPERNICUS)]
    assert len({acquisition(one)[2:] for one in read}) == 1, "the same strip and tile, by whatever names"
    assert acquisition(read[0])[2:] == ("20190601T105031", "31UFS")
