"""Which tiles of an edition are still to be made, found without looking at ground, scenes or models.

What a tile is computed from is frozen with its edition, so a record that says that it was made from this edition's
frozen inputs settles the tile as well as the fingerprints in it do, at a fraction of the cost: those need the tile's
ground and its scenes. Records of other editions that were copied here, or of inputs that somebody changed, say
something else; their tiles go the long way and their fingerprints decide.
"""

from transforms.editions.edition import Edition


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
