"""What is simulated says so, wherever its catalogue is."""

from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden

from stook.transforms.reporting.facts import simulated_in
from stook.transforms.store import Address, cloud, is_cloud, write_json


def edition_of(catalog: str) -> Any:
    """As much of an edition as is asked for: one archive, no models."""
    plan = SimpleNamespace(sources={"sentinel2": SimpleNamespace(catalog=catalog)}, products=())
    return SimpleNamespace(plan=plan, manifest={"licences": {}})


@pytest.mark.parametrize(
    ("description", "told"), [("Simulated scenes", ["the imagery (sentinel2)"]), ("Scenes of a satellite", [])]
)
def test_a_catalogue_says_whether_its_scenes_are_simulated(home: Address, description: str, told: list[str]) -> None:
    write_json(home / "catalog.json", {"description": description})
    assert simulated_in(edition_of(str(home / "catalog.json"))) == told


def test_what_an_edition_froze_holds_whatever_becomes_of_the_catalogue() -> None:
    edition = edition_of("none.json")
    edition.manifest["simulated"] = ["sentinel2"]
    assert simulated_in(edition) == ["the imagery (sentinel2)"]


def test_a_catalogue_that_is_not_at_hand_says_nothing(home: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    assert simulated_in(edition_of(str(home / "none.json"))) == []
    assert simulated_in(edition_of("https://archive.example/catalog.json")) == []
    if is_cloud(home):

        def forbidden(_: object) -> None:
            raise Forbidden("the account has left")  # type: ignore[no-untyped-call]

        monkeypatch.setattr(cloud, "read", forbidden)
        assert simulated_in(edition_of(str(home / "catalog.json"))) == []
