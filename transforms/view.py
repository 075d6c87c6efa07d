"""What heads see of a tile that is encoded now; ``EmbeddingStore.view`` is the same of one that was encoded before."""

from collections.abc import Iterator

import numpy as np

from models.inference import Embedder
from transforms.cells import cells_all, cells_any, cells_fewest
from transforms.chips import ChipLayout
from transforms.cutting import TileSeason
from transforms.embeddings import rounded
from transforms.encode import Features, TileView, encode
from transforms.encodings import Encoding
from transforms.values import NODATA


def encoded_view(
    season: TileSeason,
    embedder: Embedder,
    layout: ChipLayout,
    owned: np.ndarray,
    absent: frozenset[str] = frozenset(),
    rounding: Encoding | None = None,
) -> TileView:
    """The view of a composite through an encoder.

    A cell is seen if all its pixels have imagery; it has as many clear observations as the pixel with the fewest.

    Args:
        season: The composite, with a halo at least as wide as the layout's.
        embedder: The encoder on its device.
        layout: How its chips lie.
        owned: Which pixels are the region's, bool [y, x]; cells without any are not encoded.
        absent: Bands to leave out although the composite may have them.
        rounding: Whose storage vectors are rounded as; None for not at all.
    """
    clear = cells_fewest(season.inner(season.composite.clear_observations), layout.cell_px)
    seen = cells_all(season.inner(season.composite.observed), layout.cell_px) & cells_any(owned, layout.cell_px)

    def features(wanted: np.ndarray) -> Iterator[Features]:
        for part in encode(embedder, layout, season, wanted, absent):
            yield part if rounding is None else rounded(part, rounding)

    return TileView(np.where(seen, clear, NODATA).astype(np.uint8), features)
