"""Cases of ``failures``: what archives do wrong, behind a server of our own, and what their catalogues must not do.

Faults of single documents and files, of every kind and place, are tests in ``tests/transforms/imagery/test_faults.py``;
here a whole run meets them.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from planetary_computer import sas
from planetary_computer.settings import Settings

from stook.transforms.imagery.sources import PROFILES
from tests.evidence.case import OPEN, PUBLISHED, Case, edit_items
from tests.pipelines.small_season import SmallSeason
from tests.transforms.imagery.faulty_server import Fault, FaultyServer, ServerApart, faulty, faulty_apart

Spoil = Callable[[SmallSeason, ExitStack], None]
ONLY_TILES = "nir.tif"  # a band that the search does not look into
STORE = "http://archive.blob.core.windows.net"  # where links of the Planetary Computer lead
LARGE = 65 * 2**20


def served(season: SmallSeason, stack: ExitStack, *faults: Fault, guarded: str = "") -> ServerApart:
    """Put the archive of a season, made smaller, behind a server in a process of its own."""
    server = stack.enter_context(faulty_apart(season.folder / "archive", *faults, guarded=guarded))
    asking(season, server.url)
    return server


def asking(season: SmallSeason, url: str) -> None:
    """Make the season smaller, and its archive the one at an address."""
    season.narrowed().hurried()
    for sensor in ("sentinel2", "sentinel1"):
        season.configure(**{f"imagery__{sensor}__catalog": f"{url}/catalog.json"})
    season.configure(run__attempts=2, run__timeout_s=20.0)


def made_up(season: SmallSeason, stack: ExitStack) -> FaultyServer:
    """A server that can be told what to answer."""
    server = stack.enter_context(faulty(season.folder / "archive"))
    asking(season, server.url)
    return server


def behind(*faults: Fault, **fields: Any) -> Spoil:
    """The archive behind a server with these faults."""

    def spoil(season: SmallSeason, stack: ExitStack) -> None:
        served(season, stack, *faults)
        season.configure(**fields)

    return spoil


def first_red(season: SmallSeason) -> tuple[Path, Path]:
    """An item of June, and its red band."""
    item = next(path for path in season.items() if path.name.startswith("S2") and "_202306" in path.name)
    return item, item.parent / "red.tif"


def described(fields: Callable[[Path], dict[str, Any]], **configured: Any) -> Spoil:
    """What the items say of their Sentinel-2 files is made by ``fields`` of the file, then a red band is changed."""

    def spoil(season: SmallSeason, stack: ExitStack) -> None:
        season.narrowed().hurried()
        for path in season.items():
            item = json.loads(path.read_text())
            for asset in item["assets"].values():
                asset.update(fields(path.parent / asset["href"]))
            path.write_text(json.dumps(item))
        _, red = first_red(season)
        red.write_bytes(red.read_bytes() + b"\0")
        season.configure(**configured)

    return spoil


def size(path: Path) -> dict[str, Any]:
    return {"file:size": path.stat().st_size}


def checksum(path: Path) -> dict[str, Any]:
    return {"file:checksum": "1220" + hashlib.sha256(path.read_bytes()).hexdigest()}


def signed_archive(season: SmallSeason, stack: ExitStack, *faults: Fault) -> ServerApart:
    """The archive as the Planetary Computer has it: other names of bands, links into a store that wants tokens."""
    keys = PROFILES["planetary-computer"].assets
    bands = PROFILES["scaled-1e-4"].assets
    for path in season.items():
        if not path.name.startswith("S2"):
            continue
        item = json.loads(path.read_text())
        place = path.parent.relative_to(season.folder / "archive")
        item["properties"]["s2:processing_baseline"] = "02.14"
        item["assets"] = {
            keys[band]: {**item["assets"][key], "href": f"{STORE}/{place}/{item['assets'][key]['href']}"}
            for band, key in bands.items()
            if key in item["assets"]
        }
        path.write_text(json.dumps(item))
    server = served(season, stack, *faults, guarded=".tif")
    season.configure(imagery__sentinel2__profile="planetary-computer")
    season.configure(imagery__sentinel1__catalog=str(season.folder / "archive" / "catalog.json"))
    environment = {"PC_SDK_SAS_URL": f"{server.url}/token", "http_proxy": server.url, "no_proxy": "127.0.0.1,localhost"}
    for name, value in environment.items():
        stack.callback(_restore, name, os.environ.get(name))
        os.environ[name] = value
    Settings.get.cache_clear()
    sas.TOKEN_CACHE.clear()
    return server


def _restore(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    Settings.get.cache_clear()


def expiring_tokens(season: SmallSeason, stack: ExitStack) -> None:
    signed_archive(season, stack, Fault("status", ONLY_TILES, times=2, after=1, status=403))


def refused_tokens(season: SmallSeason, stack: ExitStack) -> None:
    signed_archive(season, stack, Fault("status", ONLY_TILES, status=403))


def silent_token_service(season: SmallSeason, stack: ExitStack) -> None:
    signed_archive(season, stack, Fault("status", "/token/", status=503))


def linking(href: str, **configured: Any) -> Spoil:
    """A catalogue of which an item links its red band elsewhere."""

    def spoil(season: SmallSeason, stack: ExitStack) -> None:
        season.narrowed().hurried()
        edit_items(season, "S2", lambda item: item["assets"]["red"].update({"href": href}))
        season.configure(**configured)

    return spoil


def virtual_file(season: SmallSeason, stack: ExitStack) -> None:
    season.narrowed().hurried()
    _, red = first_red(season)
    red.write_text(f'<VRTDataset rasterXSize="9" rasterYSize="9"><!-- {red} --></VRTDataset>')


def endless_catalogue(season: SmallSeason, stack: ExitStack) -> None:
    server = made_up(season, stack)

    class Endless(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            links = [{"rel": "child", "href": f"{server.url}/{len(server.requests)}/catalog.json"}]
            page = {"type": "Catalog", "id": path, "stac_version": "1.0.0", "description": "", "links": links}
            return (lambda query: page) if path.endswith("/catalog.json") else default

    server.pages = Endless()


def large_document(season: SmallSeason, stack: ExitStack) -> None:
    made_up(season, stack).pages["/catalog.json"] = lambda query: b" " * LARGE


PASSING = (
    Fault("status", "/catalog.json", times=1, status=429, headers={"Retry-After": "1"}),
    Fault("status", "/collection.json", times=1, status=500),
    Fault("reset", ".json", times=1, after=4),
    Fault("status", "green.tif", times=2),
    Fault("status", "red.tif", times=1, status=429, headers={"Retry-After": "1"}),
    Fault("broken off", "nir08.tif", times=1),
    Fault("reset", "vv.tif", times=1),
)
FOUND = r"published edition"
KEPT = r"; progress is saved; rerun to resume$"

ARCHIVE_CASES = (
    Case("archive-passing", "an archive refuses and breaks off (500, 503, 429 with Retry-After, resets) for a moment: "
         "catalogue, items and files", behind(*PASSING), 0, FOUND, PUBLISHED),
    Case("catalogue-503", "the catalogue answers 503", behind(Fault("status", "/catalog.json")), 4,
         r"/catalog\.json: unreachable \(HTTP 503\)$"),
    Case("items-429", "the archive answers 429 to every item", behind(Fault("status", "/S2", status=429)), 4,
         r"/S2\w+\.json: unreachable \(HTTP 429\)$"),
    Case("item-404", "an item that the catalogue links is not there", behind(Fault("status", "/S2", status=404)), 2,
         r"catalog\.json: \S+/S2\w+\.json: answers HTTP 404; is it a STAC catalogue or API\?$"),
    Case("items-cut", "items come cut in half", behind(Fault("short", "/S2")), 2, r"/S2\w+\.json is not STAC JSON \("),
    Case("files-503", "the files answer 503", behind(Fault("status", ONLY_TILES)), 4,
         r"S2\w+: asset nir \(\S+/nir\.tif\) unreachable \(503\)" + KEPT, OPEN),
    Case("files-reset", "connections break amid every file", behind(Fault("reset", ONLY_TILES)), 4,
         r"S2\w+: asset nir \(\S+/nir\.tif\) unreachable \([^()]+\)" + KEPT, OPEN),
    Case("files-slow", "the files do not come in time",
         behind(Fault("slow", ONLY_TILES, seconds=2), run__timeout_s=0.5), 4,
         r"S2\w+: asset nir \(\S+/nir\.tif\) unreachable \(.*[Tt]ime.*\)" + KEPT, OPEN),
    Case("files-page", "a web page comes instead of every file, with status 200", behind(Fault("page", ONLY_TILES)), 4,
         r"S2\w+: asset nir \(\S+/nir\.tif\) unreachable \(a web page instead of the file\)" + KEPT, OPEN),
    Case("file-410", "a file is no longer there (410)", behind(Fault("status", ONLY_TILES, status=410)), 3,
         r"^failed: \d+_\d+_\d+: S2\w+: missing asset nir \(", OPEN),
    Case("file-cut", "a file comes cut in half", behind(Fault("short", ONLY_TILES)), 3,
         r"^failed: \d+_\d+_\d+: S2\w+: corrupt asset nir \(", OPEN),
    Case("file-size", "a file has another size than its item says (`file:size`)", described(size), 3,
         r"^failed: \d+_\d+_\d+: S2\w+: corrupt asset red \(\S+\): \d+ bytes, but the item says \d+", OPEN),
    Case("file-checksum", "a file has another checksum than its item says, with `imagery.sentinel2.verify`",
         described(checksum, imagery__sentinel2__verify=True), 3,
         r"^failed: .*corrupt asset red \(\S+\): sha256 is \w{64}, but the item says \w{64}", OPEN),
    Case("no-checksum", "`imagery.sentinel2.verify`, but the items have no checksums",
         linking("./red.tif", imagery__sentinel2__verify=True), 2,
         r"asset \w+: no file:checksum of a kind that is known, .*imagery\.sentinel2\.verify needs both$"),
    Case("tokens-expire", "tokens expire early, amid reading", expiring_tokens, 0, FOUND, PUBLISHED),
    Case("tokens-refused", "the archive refuses new tokens too", refused_tokens, 4,
         r"S2\w+: asset B08 \(\S+/nir\.tif\) unreachable \(403, with a new token too\)" + KEPT, OPEN),
    Case("token-service-503", "the token service does not answer", silent_token_service, 4,
         r"/token/archive/\S+: unreachable \(HTTP 503\)$"),
    Case("link-out", "an item links a file outside the catalogue's folder", linking("../../../../secret.tif"), 2,
         r"item S2\w+: asset red: link '\S+' is refused: outside the catalogue's folder; imagery\.sentinel2\.folders"),
    Case("link-vsi", "an item links a virtual path of GDAL", linking("/vsicurl/http://127.0.0.1:9/red.tif"), 2,
         r"item S2\w+: asset red: link '\S+' is refused: it is no path or address of a file$"),
    Case("link-host", "an item links another server than `imagery.sentinel2.hosts` allows",
         linking("http://other.example/red.tif", imagery__sentinel2__hosts=["*.archive.example"]), 2,
         r"item S2\w+: asset red: link '\S+' is refused: imagery\.sentinel2\.hosts allows \*\.archive\.example$"),
    Case("link-token", "an item links a file with a token in the link",
         linking("https://archive.example/red.tif?sig=SECRET"), 2,
         r"link 'https://archive\.example/red\.tif\?…'? is refused: it carries a token, which would be kept"),
    Case("virtual-file", "a file is a text that names other files (VRT)", virtual_file, 3,
         r"^failed: .*: corrupt asset red \(.*not recognized as being in a supported file format", OPEN),
    Case("endless", "a catalogue has no end", endless_catalogue, 2,
         r": nesting exceeds 32 levels or 100000 catalogues; circular links\?$"),
    Case("large-document", "a catalogue of 65 MiB in one document", large_document, 2,
         r"/catalog\.json: more than \d+ MiB, allowed are 64 in one document$"),
)  # fmt: skip
