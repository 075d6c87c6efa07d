"""Which tiles of an edition are still to be made, found without looking at ground, scenes or models.

What a tile is computed from is frozen with its edition, so a record that says that it was made from this edition's
frozen inputs settles the tile as well as the fingerprints in it do, at a fraction of the cost: those need the tile's
ground and its scenes. Records of other editions that were copied here, or of inputs that somebody changed, say
something else; their tiles go the long way and their fingerprints decide. What is made from finished maps depends on
the ledger alone, so its fingerprints are found here as well.
"""

from collections.abc import Container, Mapping
from typing import NamedTuple

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.editions.plan import DerivedPlan, Plan
from stook.transforms.ground.grid import Tile
from stook.transforms.tiles.derived import reach_px
from stook.transforms.tiles.fingerprints import Made, derived_fingerprint, made_inputs


def due_tiles(edition: Edition) -> list[str]:
    """Names of the tiles of which some product of a model is not known to be made from the edition's inputs.

    Memory: a name per tile.
    """
    seal, products = edition.seal, [product.product for product in edition.plan.products]
    settled = {
        record.tile
        for record in edition.ledger.records()
        if record.seal == seal
        and all(name in record.products and record.products[name].status == "done" for name in products)
    }
    return [tile for tile in edition.manifest["tiles"] if tile not in settled]


def due_derived(edition: Edition) -> list[str]:
    """Names of the tiles of which some product that is made from maps is not done, or from maps that are others now.

    The ledger is read once. Memory: some 700 bytes per tile, 200 MiB for 300,000: its name and, of a product that looks
    into neighbours, its fingerprint and those of its inputs.
    """
    plan, names = edition.plan, edition.manifest["tiles"]
    tiles = frozenset(names)
    near = [product for product in plan.derived if not reach_px(product)]
    far = [product for product in plan.derived if reach_px(product)]
    settled: set[str] = set()
    around: dict[str, dict[str, _Said]] = {product.product: {} for product in far}
    for record in edition.ledger.records():
        for product in far:
            around[product.product][record.tile] = _Said.by(record, product)
        name = record.tile
        if all(_settled(plan, product, name, tiles, {name: _Said.by(record, product)}) for product in near):
            settled.add(name)
    return [
        name
        for name in names
        if name not in settled
        or not all(_settled(plan, product, name, tiles, around[product.product]) for product in far)
    ]


class _Said(NamedTuple):
    """What a tile's record says of a derived product.

    Attributes:
        inputs: Of what it would be made from.
        fingerprint: Of what it was made from; empty where it is not done.
    """

    inputs: Made = ()
    fingerprint: str = ""

    @classmethod
    def by(cls, record: TileRecord, product: DerivedPlan) -> "_Said":
        """The same, taken from the record."""
        made = record.products.get(product.product)
        inputs = made_inputs(product, record.products)
        return cls(inputs) if made is None or made.status != "done" else cls(inputs, made.fingerprint)


def _settled(plan: Plan, product: DerivedPlan, name: str, tiles: Container[str], said: Mapping[str, _Said]) -> bool:
    """Whether a product of a tile is done from what the records say now; see ``derived_fingerprint``."""

    def inputs_in(tile: Tile) -> Made:
        return said[tile.name].inputs if tile.name in said else ()

    wanted = derived_fingerprint(plan, product, Tile.parse(name), tiles, inputs_in)
    return said[name].fingerprint == wanted
