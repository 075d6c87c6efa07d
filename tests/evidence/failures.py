"""Experiment ``failures``: what a user sees when something is wrong, and what is left behind.

Every case spoils a copy of the small simulated season and runs ``stook`` on it. ``docs/failures.md`` is written from
what was observed.
"""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rasterio
import yaml

from stook.models.bundle import Conditions
from stook.models.resnet import ResNet, ResNetSize
from stook.pipelines.demo.place import WINDOW
from tests.evidence.archive_faults import ARCHIVE_CASES
from tests.evidence.case import OPEN, Case, Observation, UnavailableError, edit_items, observe
from tests.evidence.figure import Experiment, Figure, kept
from tests.evidence.memory_faults import MEMORY_CASES
from tests.pipelines.small_season import (
    PILES,
    SmallSeason,
    write_pile_bundle,
    write_random_bundle,
    write_small_season,
)

COPERNICUS = {"blue": "B02_10m", "green": "B03_10m", "red": "B04_10m", "rededge1": "B05_20m", "rededge2": "B06_20m",
              "rededge3": "B07_20m", "nir": "B08_10m", "nir08": "B8A_20m", "swir16": "B11_20m", "swir22": "B12_20m",
              "scl": "SCL_20m"}  # fmt: skip
SMALL_DISK = "200k"  # takes an empty edition and some of its tiles


def corrupt_file(season: SmallSeason, stack: ExitStack) -> None:
    season.damage_one_tile()


def missing_asset(season: SmallSeason, stack: ExitStack) -> None:
    item = next(path for path in season.items() if path.name.startswith("S2") and "_202306" in path.name)
    (item.parent / "red.tif").unlink()


def wrong_weights(season: SmallSeason, stack: ExitStack) -> list[str]:
    (season.folder / "weights.pt").write_bytes(b"not the published weights")
    config = season.folder / "train.yaml"
    labels = {"file": "labels.csv", "year": season.year, "field": "class", "positive": [1], "negative": [0]}
    training = {
        "product": "cropland",
        "bundle": "trained",
        "encoder": {"name": "presto", "weights": "weights.pt"},
        "window": WINDOW,
        "labels": [{**labels, "licence": "none"}],
    }
    imagery = yaml.safe_load(season.config.read_text())["imagery"]
    config.write_text(yaml.safe_dump({"name": "training", "imagery": imagery, "training": training}))
    return ["train", str(config)]


def damaged_bundle(season: SmallSeason, stack: ExitStack) -> None:
    weights = season.folder / "bundle" / "encoder.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def missing_band(season: SmallSeason, stack: ExitStack) -> None:
    edit_items(season, "S2", lambda item: item["assets"].pop("scl"))


def band_of_another_archive(season: SmallSeason, stack: ExitStack) -> None:
    encoder = ResNet(ResNetSize(18, ("red", "nir", "cirrus"), "plain", chip_px=10, width=4)).eval()
    write_random_bundle(season.folder / "bundle", Conditions(6, 2, stride_px=10), encoder=encoder)


def unknown_profile(season: SmallSeason, stack: ExitStack) -> None:
    season.configure(imagery__sentinel2__profile="landsat")


def unknown_field(season: SmallSeason, stack: ExitStack) -> None:
    season.configure(products__cropland__treshold=40)


def offset_twice(season: SmallSeason, stack: ExitStack) -> None:
    def state_offset(item: dict[str, Any]) -> None:
        assets = {COPERNICUS[band]: asset for band, asset in item["assets"].items()}
        for asset in assets.values():
            asset["raster:bands"] = [{"scale": 1e-4, "offset": -0.1}]
        item["assets"] = assets

    edit_items(season, "S2", state_offset)
    season.configure(imagery__sentinel2__profile="copernicus")


def grd_collection(season: SmallSeason, stack: ExitStack) -> None:
    season.configure(imagery__sentinel1__collection="sentinel-1-grd")


def grd_items(season: SmallSeason, stack: ExitStack) -> None:
    def make_raw(item: dict[str, Any]) -> None:
        item["properties"] = {"datetime": item["properties"]["datetime"], "sar:product_type": "GRD"}
        for asset in item["assets"].values():
            asset.pop("proj:transform")

    edit_items(season, "S1", make_raw)


def empty_season(season: SmallSeason, stack: ExitStack) -> list[str]:
    return ["map", str(season.config), "--year", str(season.year - 3)]


def elsewhere(season: SmallSeason, stack: ExitStack) -> None:
    def moved(numbers: Any) -> Any:
        if isinstance(numbers[0], list):
            return [moved(inner) for inner in numbers]
        return [numbers[0], numbers[1] + 5]

    units = season.folder / "districts.geojson"
    content = json.loads(units.read_text())
    for feature in content["features"]:
        feature["geometry"]["coordinates"] = moved(feature["geometry"]["coordinates"])
    units.write_text(json.dumps(content))


def unreadable_units(season: SmallSeason, stack: ExitStack) -> None:
    (season.folder / "districts.geojson").write_bytes(b"\x89PNG, by mistake")


def unreachable(season: SmallSeason, stack: ExitStack) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    season.configure(imagery__sentinel2__catalog=f"http://127.0.0.1:{port}/catalog.json")


def output_below_a_file(season: SmallSeason, stack: ExitStack) -> None:
    season.configure(output="districts.geojson/out")


def read_only_output(season: SmallSeason, stack: ExitStack) -> None:
    mount(season, stack, "ro")


def full_disk(season: SmallSeason, stack: ExitStack) -> None:
    mount(season, stack, f"size={SMALL_DISK}")


def piles_alone(season: SmallSeason) -> None:
    """Make harvest piles the only product."""
    write_pile_bundle(season.folder / "piles")
    season.configure(products={"harvest_piles": PILES})


def a_picture(season: SmallSeason) -> Path:
    """One of the season's pictures."""
    piles_alone(season)
    return next(item.parent / "rgb.tif" for item in season.items() if item.name.startswith("HR"))


def missing_picture(season: SmallSeason, stack: ExitStack) -> None:
    a_picture(season).unlink()


def deeper_picture(season: SmallSeason, stack: ExitStack) -> None:
    path = a_picture(season)
    with rasterio.open(path) as source:
        values, profile = source.read(), source.profile
    with rasterio.open(path, "w", **{**profile, "dtype": "uint16"}) as target:
        target.write(values.astype("uint16") * 257)


def misplaced_pictures(season: SmallSeason, stack: ExitStack) -> None:
    piles_alone(season)
    edit_items(season, "HR", lambda item: item["properties"].update({"proj:code": "EPSG:32638"}))


def no_pictures(season: SmallSeason, stack: ExitStack) -> None:
    piles_alone(season)
    season.configure(products__harvest_piles__window={"start": {"month": 11, "year": -1}, "months": 2})


def mount(season: SmallSeason, stack: ExitStack, options: str) -> None:
    """Make the output a file system in memory, gone when ``stack`` ends."""
    folder = season.folder / "out"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "stook-failures", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        raise UnavailableError("file systems in memory can be mounted only by root")
    stack.callback(subprocess.run, ["umount", str(folder)], check=True)


CASES = (
    Case("corrupt-cog", "a COG of the archive is corrupt", corrupt_file, 3,
         r"^failed: \d+_\d+_\d+: S2\w+: corrupt asset red \(", OPEN),
    Case("missing-asset", "a file that an item links is missing", missing_asset, 3,
         r"^failed: \d+_\d+_\d+: S2\w+: missing asset red \(", OPEN),
    Case("wrong-weights", "`stook train`: the weights are not the published ones", wrong_weights, 2,
         r"weights\.pt: sha256 is \w{64}, expected \w{64}"),
    Case("damaged-bundle", "a file of the bundle is damaged", damaged_bundle, 2,
         r"encoder\.safetensors: sha256 is \w{64}, expected \w{64}"),
    Case("missing-band", "the archive lacks a band that cannot be masked (SCL)", missing_band, 2,
         r"imagery\.sentinel2: no scene of .* has an asset scl, without which clouds cannot be masked, which profile "
         r"scaled-1e-4 names; they have blue, .*"),
    Case("encoder-band", "the encoder needs a band that the archive lacks", band_of_another_archive, 2,
         r"the archives lack cirrus, which random weights needs"),
    Case("unknown-profile", "a profile that does not exist", unknown_profile, 2,
         r"imagery\.sentinel2\.profile: 'landsat'; allowed: earth-search, "),
    Case("unknown-field", "a field that does not exist", unknown_field, 2,
         r"demo\.yaml: products\.cropland\.treshold: unknown field; allowed are .*threshold"),
    Case("implausible-offset", "the offset of baseline 04.00 would be subtracted twice", offset_twice, 2,
         r"with profile copernicus, item S2\w+ .*: the darkest 1 % of clear visible pixels have reflectance -0\.\d+"),
    Case("raw-grd", "raw Sentinel-1 GRD, by the collection's name", grd_collection, 2,
         r"imagery\.sentinel1\.collection: 'sentinel-1-grd' is raw GRD; use terrain-corrected"),
    Case("raw-grd-items", "raw Sentinel-1 GRD, by its items", grd_items, 2,
         r"item S1\w+ of sentinel-1-rtc is raw GRD; use terrain-corrected"),
    Case("empty-season", "the archive has no scene of the season", empty_season, 2,
         r"imagery\.sentinel2: .* has no scene of sentinel-2-l2a over .* from 2020-06-01 to 2020-08-01"),
    Case("elsewhere", "the region lies outside the imagery", elsewhere, 2,
         r"imagery\.sentinel2: .* has no scene of sentinel-2-l2a over 35\.\d+/1[34]\.\d+/36\.\d+/14\.\d+ from"),
    Case("unreadable-units", "the vector file cannot be read", unreadable_units, 2,
         r"districts\.geojson: not a vector file that can be read: "),
    Case("unreachable", "the archive does not answer", unreachable, 4,
         r"http://127\.0\.0\.1:\d+/catalog\.json: unreachable \(\[Errno 111\] Connection refused\)$"),
    Case("output-below-a-file", "the output is a path below a file", output_below_a_file, 2,
         r"output: \S+: \S+/districts\.geojson is a file; output is a folder"),
    Case("read-only-output", "the output is read-only", read_only_output, 2,
         r"output: \S+: no permission to write in \S+/out, or it is read-only"),
    Case("full-disk", "the disk is full", full_disk, 4,
         r"output: cannot write \S+: No space left on device; progress is saved; rerun", OPEN),
    Case("missing-picture", "harvest piles: a picture is missing", missing_picture, 3,
         r"^failed: \d+_\d+_\d+: HR_\w+: missing asset rgb \(", OPEN),
    Case("deeper-picture", "harvest piles: a picture has 16 bits, not the profile's 8", deeper_picture, 3,
         r"^failed: .* unusable asset rgb .*: 3 bands of uint16, where profile rgb-8bit has 3 of uint8", OPEN),
    Case("misplaced-pictures", "harvest piles: pictures in another projection than their items say",
         misplaced_pictures, 3, r"^failed: .* unusable asset rgb .*: EPSG:3263\d, but the item says EPSG:32638", OPEN),
    Case("no-pictures", "harvest piles: no picture in the window", no_pictures, 2,
         r"imagery\.rgb: .* has no scene of highres-rgb over .* from 2022-11-01 to 2023-01-01"),
    *ARCHIVE_CASES,
    *MEMORY_CASES,
)  # fmt: skip


def shortened(line: str, season: SmallSeason) -> str:
    """A line without what differs from run to run."""
    line = line.replace(str(season.folder), "…").replace(str(season.folder.parent), "…")
    line = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "EDITION", line)
    line = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", line)
    line = re.sub(r"0x[0-9a-f]+", "0x…", line)
    line = re.sub(r"127\.0\.0\.1:\d+|port=\d+", "127.0.0.1:PORT", line)
    line = re.sub(r"\.[\w.]+-[0-9a-f]{32}\.partial|\w*\.[0-9a-f]{32}\.partial", "SCRATCH", line)
    return line.replace("|", "\\|")


def row(case: Case, seen: Observation, season: SmallSeason) -> str:
    """The case as a row of the page."""
    lines = [shortened(line, season) for line in seen.lines]
    failed = [line for line in lines if line.startswith("failed:")]
    refused = [line for line in lines if line.startswith("not published:")]
    more = [f"and {len(failed) - 1} more such lines"] if len(failed) > 1 else []
    what = "<br>".join([*(f"`{line}`" for line in (*refused, *failed[:1])), *more, f"`{lines[-1]}`"])
    left = f"{seen.left}, {seen.tiles}" if seen.tiles else seen.left
    return f"| {case.wrong} | {what} | {seen.status} | {left} |"


HEADING = """# When something is wrong

What `stook map` says, how it ends, and what it leaves behind. Written by `make evidence ONLY=failures`, which spoils a
small **simulated** season in each of these ways; … stands for its folder.

Exit status 2: your configuration or input is wrong, nothing was run. 3: finished, with failed tiles. 4: an archive or
the output could not be reached, nothing was decided. In the last two cases the edition stays open: mend the cause and
rerun to resume; progress is saved. Published maps are never touched.

| what is wrong | what you see | exit status | what is left |
|---|---|---|---|
"""


def experiment(scratch: Path, cases: Sequence[Case] = CASES) -> Iterator[Figure]:
    """Run every case, write the page, count."""
    pristine = write_small_season(scratch / "pristine").hurried()
    rows, wrong, slowest, skipped = [], [], (0.0, ""), []
    for case in cases:
        season = pristine.copy(scratch / case.name)
        try:
            seen = observe(case, season)
        except UnavailableError as error:
            skipped.append(case.name)
            rows.append(f"| {case.wrong} | not run here: {error} | | |")
            continue
        rows.append(row(case, seen, season))
        slowest = max(slowest, (seen.seconds, case.name))
        if complaints := case.complaints(seen):
            wrong.append(f"{case.name}: {'; '.join(complaints)}")
    kept(scratch, "docs/failures.md").write_text(HEADING + "\n".join(rows) + "\n")
    run = len(cases) - len(skipped)
    left_out = f"; not run here: {', '.join(skipped)}" if skipped else ""
    yield Figure("failures.cases", run, f"table in docs/failures.md{left_out}")
    note = " | ".join(wrong) or f"target {run}; the longest wait was {slowest[0]:.0f} s ({slowest[1]})"
    yield Figure("failures.as_expected", run - len(wrong), note)


FEW = tuple(case for case in CASES if case.name in ("unknown-field", "missing-asset", "items-429"))
EXPERIMENT = Experiment("failures", experiment, small={"cases": FEW})  # tests/pipelines/test_failures.py has them all
