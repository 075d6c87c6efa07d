"""A small season whose feature vectors are stored, for tests of what is done with them."""

from stook.models.bundle import Conditions
from stook.pipelines.season import embeddings_folder
from stook.transforms.choices import Storage
from stook.transforms.editions.edition import Edition
from tests.pipelines.command import Told, stook
from tests.pipelines.small_season import SmallSeason

TILES = 2
WINDOW = {"start": {"month": 6, "year": 0}, "months": 2}
SUMMER = Conditions(start_month=6, months=2)


def stook_embed(season: SmallSeason) -> Told:
    return stook("embed", season.config, "--year", season.year, "--quiet")


def vectors_of(season: SmallSeason) -> Edition:
    """The published vectors."""
    edition = embeddings_folder(season.configuration, season.year).current()
    assert edition is not None
    return edition


def with_vectors(season: SmallSeason, storage: Storage) -> SmallSeason:
    """Shorten and narrow a season, and configure its vectors; none are stored yet."""
    season.hurried().narrowed().configure(run={"mode": "memory"})
    return season.configure(embeddings={"encoder": {"bundle": "bundle"}, "window": WINDOW, "storage": storage})
