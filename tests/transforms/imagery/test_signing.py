"""Tokens: fetched before a link is opened, anew when the archive refuses one, and never told to anybody."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planetary_computer import sas
from planetary_computer.settings import Settings

from stook.models.errors import UnreachableError
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import PLACE, Archive, noon
from tests.transforms.imagery.faulty_server import Fault, FaultyServer, faulty
from tests.transforms.imagery.test_faults import QUICK, told
from tests.transforms.imagery.test_reading import NOISE, june, read

BAND = "B02.tif"  # blue, as the archive calls it
OFFSET = 0.1


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """An archive of one scene whose blue band needs a token."""
    archive = Archive(tmp_path / "archive", "planetary-computer")
    archive.add("june", noon(5), {"blue": NOISE, "scl": 4}, **{"s2:processing_baseline": "05.00"})
    archive.save()
    with faulty(archive.writer.folder, guarded=BAND) as running:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{running.url}/token")
        monkeypatch.setattr(sas, "BLOB_STORAGE_DOMAIN", running.host)
        Settings.get.cache_clear()
        sas.TOKEN_CACHE.clear()
        yield running
    Settings.get.cache_clear()
    sas.TOKEN_CACHE.clear()


@pytest.fixture
def source(server: FaultyServer) -> Source:
    return Source("sentinel2", f"{server.url}/catalog.json", "scenes", "planetary-computer")


def pixels(source: Source) -> np.ndarray:
    return read(source, june(source), "blue", PLACE, backoff=QUICK)[0]


def are_right(values: np.ndarray) -> bool:
    return bool(np.allclose(values, NOISE * 1e-4 - OFFSET, atol=1e-6))


def test_one_token_serves_many_links(server: FaultyServer, source: Source) -> None:
    assert are_right(pixels(source)) and are_right(pixels(source))
    assert len(server.asked("/token/")) == 1
    assert all("sig=" in path for path in server.asked(BAND))


def test_a_token_about_to_expire_is_not_used(server: FaultyServer, source: Source) -> None:
    server.lifetime_s = 200
    pixels(source)
    pixels(source)
    assert len(server.asked("/token/")) == 2


def test_a_token_that_expired_early_is_replaced_once(server: FaultyServer, source: Source) -> None:
    read(source, june(source), "scl", PLACE, backoff=QUICK)
    server.expire_tokens()
    assert are_right(pixels(source))
    assert len(server.asked("/token/")) == 2


def test_a_token_that_expires_amid_reading_is_replaced(server: FaultyServer, source: Source) -> None:
    server.faults.append(Fault("status", BAND, times=3, after=1, status=403))
    assert are_right(pixels(source))
    assert len(server.asked("/token/")) == 2


def test_an_archive_that_refuses_new_tokens_too_is_unreachable(server: FaultyServer, source: Source) -> None:
    server.faults.append(Fault("status", BAND, status=403))
    error = told(lambda: pixels(source))
    assert isinstance(error, UnreachableError)
    assert "asset B02" in str(error) and "403, with a new token too" in str(error)
    assert len(server.asked("/token/")) == 2
    assert "SECRET" not in str(error) and "sig" not in str(error)


@pytest.mark.parametrize(
    "fault", [Fault("status", status=503), Fault("reset"), Fault("slow", seconds=0.6), Fault("broken off")]
)
def test_a_token_service_that_fails_for_a_moment_is_waited_for(
    server: FaultyServer, source: Source, fault: Fault
) -> None:
    server.faults.append(replace(fault, where="/token/", times=1))
    assert are_right(pixels(source))


@pytest.mark.parametrize(
    "fault",
    [Fault("status", status=503), Fault("status", status=403), Fault("status", status=404), Fault("reset"),
     Fault("slow", seconds=0.6), Fault("page")],
)  # fmt: skip
def test_a_token_service_that_does_not_answer_is_unreachable(
    server: FaultyServer, source: Source, fault: Fault
) -> None:
    server.faults.append(replace(fault, where="/token/"))
    error = told(lambda: pixels(source))
    assert isinstance(error, UnreachableError) and "/token/127/scenes" in str(error)
    assert not server.asked(BAND)
    assert len(server.asked("/token/")) <= QUICK.attempts


def test_nothing_that_is_told_has_the_token(
    server: FaultyServer, source: Source, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server.faults.append(Fault("short", BAND, part="any"))
    server.faults.append(Fault("status", BAND, status=503))
    errors = [str(told(lambda: pixels(source)))]
    server.faults[0].times = 0
    errors.append(str(told(lambda: pixels(source))))
    printed = capfd.readouterr()
    assert all("B02" in error for error in errors)
    assert "SECRET" not in "".join([*errors, caplog.text, printed.out, printed.err])
