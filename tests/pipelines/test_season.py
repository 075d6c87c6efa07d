"""A configuration, a bundle and an edition must fit each other."""

from typing import Any

import pytest

from stook.models.errors import InputError
from stook.pipelines.season import plan_of, published_edition, region_of, season_folder
from tests.pipelines.small_season import SmallSeason


def publish_empty(season: SmallSeason) -> None:
    config = season.configuration
    folder = season_folder(config, season.year)
    with folder.opening(plan_of(config, season.year, region_of(config), provisional=False)) as (_, manifest):
        manifest["tiles"] = []
    [edition] = folder.editions()
    folder.publish(edition)


def test_the_published_edition_of_the_same_configuration_is_given(season: SmallSeason) -> None:
    with pytest.raises(InputError, match="no edition of this season is published; make it"):
        published_edition(season.configuration, season.year)
    publish_empty(season)
    assert published_edition(season.configuration, season.year).id


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"products__cropland__minimum_observations": 5}, r"\(products differ\)"),
        ({"region__parent": "country_id"}, r"\(units_hash differ\)"),
        ({"grid__tile_px": 100}, r"\(grid differ\)"),
    ],
)
def test_the_edition_of_another_configuration_is_not_passed_off_as_this_one(
    season: SmallSeason, fields: dict[str, Any], told: str
) -> None:
    publish_empty(season)
    with pytest.raises(InputError, match=told):
        published_edition(season.configure(**fields).configuration, season.year)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"products__cropland__window": {"start": {"month": 6}, "months": 3}},
            "products.cropland.window: 3 months from month 6, but .* was trained on 12 from month 1",
        ),
        ({"composite__cloud_dilation_px": 4}, "composite.cloud_dilation_px: 4, but .* was trained with 0"),
        (
            {"imagery__sentinel2": None},
            "products.cropland.minimum_observations: 3 clear observations .* without imagery.sentinel2; allowed is 0",
        ),
    ],
)
def test_a_bundle_is_refused_where_it_was_trained_on_something_else(
    season: SmallSeason, fields: dict[str, Any], told: str
) -> None:
    config = season.configure(**fields).configuration
    with pytest.raises(InputError, match=told):
        plan_of(config, season.year, region_of(config), provisional=False)
