"""What heads see of a tile that is encoded now; ``EmbeddingStore.view`` is the same of one that was encoded before."""

from collections.abc import Iterator

import numpy as np

from stook.models.inference import Embedder
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.cutting import TileSeason
from stook.transforms.encoding.encode import Features, TileView, encode
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.ground.cells import cells_any
from stook.transforms.tiles.embeddings import rounded
from stook.transforms.values import NODATA


def encoded_view(
    season: TileSeason,
    embedder: Embedder,
    layout: ChipLayout,
    owned: np.ndarray,
    absent: frozenset[str] = frozenset(),
    rounding: Encoding | None = None,
) -> TileView:
    """The view of a composite through an encoder.

    Args:
        season: The composite, with a halo at least as wide as the layout's.
        embedder: The encoder on its device.
        layout: How its chips lie.
        owned: Which pixels are the region's, bool [y, x]; cells without any are not encoded.
        absent: Bands to leave out although the composite may have them.
        rounding: Whose storage vectors are rounded as; None for not at all.
    """
    clear = np.where(cells_any(owned, layout.cell_px), season.clear_in_cells(layout.cell_px), NODATA)

    def features(wanted: np.ndarray) -> Iterator[Features]:
        for part in encode(embedder, layout, season, wanted, absent):
            yield part if rounding is None else rounded(part, rounding)

    return TileView(clear.astype(np.uint8), features)
