"""The two kinds of editions that a season has: its maps, and the feature vectors that maps may be made from."""

from collections.abc import Callable
from dataclasses import dataclass

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.season import Planner, embedding_products, embeddings_folder, map_products, season_folder
from stook.transforms.editions.plan import EMBEDDING
from stook.transforms.editions.season_folder import EditionKind, SeasonFolder


@dataclass(frozen=True)
class Kind:
    """What a command works on.

    Attributes:
        name: As states and plans tell it.
        makes: The command that makes such editions.
        option: What other commands are told to mean them, with a space before.
        folder: Where those of a season are.
        planned: How their products are made.
        products: Names that the configuration has for them.
    """

    name: EditionKind
    makes: str
    option: str
    folder: Callable[[MapConfiguration, int], SeasonFolder]
    planned: Planner
    products: Callable[[MapConfiguration], set[str]]


MAPS = Kind(
    name="maps",
    makes="stook map",
    option="",
    folder=season_folder,
    planned=map_products,
    products=lambda config: set(config.products.maps),
)
VECTORS = Kind(
    name="embeddings",
    makes="stook embed",
    option=" --embeddings",
    folder=embeddings_folder,
    planned=embedding_products,
    products=lambda config: {EMBEDDING} if config.embeddings else set(),
)


def kind_of(config: MapConfiguration, embeddings: bool) -> Kind:
    """What ``--embeddings``, or its absence, means; raises InputError if the configuration stores no vectors."""
    if embeddings and config.embeddings is None:
        raise InputError("--embeddings: the configuration has no section embeddings, so it knows of no feature vectors")
    return VECTORS if embeddings else MAPS
