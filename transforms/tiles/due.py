"""Which tiles of an edition are still to be made, found without looking at ground, scenes or models.

What a tile is computed from is frozen with its edition, so a record that says that it was made from this edition's
frozen inputs settles the tile as well as the fingerprints in it do, at a fraction of the cost: those need the tile's
ground and its scenes. Records of other editions that were copied here, or of inputs that somebody changed, say
something else; their tiles go the long way and their fingerprints decide. What is made from finished maps depends on
the ledger alone, so its fingerprints are found here as well.
"""

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.editions.plan import DerivedPlan, Plan
from stook.transforms.ground.grid import Tile
from stook.transforms.tiles.derived import reach_px
from stook.transforms.tiles.fingerprints import Made, derived_fingerprint, made_inputs


def due_tiles(edition: Edition, run: str | None = None) -> list[str]:
    """Names of the tiles of which some product of a model is not known to be made from the edition's inputs.

    Memory: a name per tile.

    Args:
        edition: An open edition.
        run: At work on it: what it has failed to make is decided, what earlier ones failed at is to be tried again.
    """
    seal, names = edition.seal, [product.product for product in edition.plan.products]
    finished = {record.tile for record in edition.ledger.records() if decided(record, seal, names, run)}
    return [tile for tile in edition.manifest["tiles"] if tile not in finished]


def decided(record: TileRecord | None, seal: str, names: Sequence[str], run: str | None) -> bool:
    """Whether products of models are made from the inputs of a seal, or were found by ``run`` not to be possible."""
    if record is None or record.seal != seal:
        return False
    products = [record.products.get(name) for name in names]
    return all(product is not None and product.stands(run) for product in products)


def due_derived(edition: Edition, run: str | None = None) -> list[str]:
    """Names of the tiles of which some product that is made from maps is not done, or from maps that are others now.

    Args:
        edition: An open edition, of which every tile has its record.
        run: See ``due_tiles``.

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
            around[product.product][record.tile] = _Said.by(record, product, run)
        name = record.tile
        if all(_settled(plan, product, name, tiles, {name: _Said.by(record, product, run)}) for product in near):
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
        fingerprint: Of what it was made from, or of what the run at work could not make it from; empty where it is not
            done.
    """

    inputs: Made = ()
    fingerprint: str = ""

    @classmethod
    def by(cls, record: TileRecord, product: DerivedPlan, run: str | None) -> "_Said":
        """The same, taken from the record."""
        made = record.products.get(product.product)
        inputs = made_inputs(product, record.products)
        return cls(inputs, made.fingerprint) if made is not None and made.stands(run) else cls(inputs)


def _settled(plan: Plan, product: DerivedPlan, name: str, tiles: Container[str], said: Mapping[str, _Said]) -> bool:
    """Whether a product of a tile is done from what the records say now; see ``derived_fingerprint``."""

    def inputs_in(tile: Tile) -> Made:
        return said[tile.name].inputs if tile.name in said else ()

    wanted = derived_fingerprint(plan, product, Tile.parse(name), tiles, inputs_in)
    return said[name].fingerprint == wanted
