"""A season that every test of statistics may read."""

import pytest

from stook.transforms.editions.edition import Edition
from tests.transforms.hand_made import invented, plan_of_all, two_zones, write_edition

PLAN, REGION = plan_of_all(), two_zones()
TILES = REGION.tiles(PLAN.grid)
FAILED = {(TILES[0].name, "cropland"), (TILES[4].name, "building_coverage"), (TILES[-1].name, "harvest_piles")}


@pytest.fixture(scope="session")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    """Two zones, every product, some tiles failed; invented values, read only."""
    return write_edition(tmp_path_factory.mktemp("edition"), PLAN, REGION, invented, FAILED)
