"""The blocks of a GeoTIFF that a window needs, and how many bytes they have in the file.

``BLOCK_SIZE_x_y`` of GDAL's TIFF driver is TileByteCounts or StripByteCounts of TIFF 6.0: the header says it, no pixel
is read for it.
"""

from collections.abc import Iterable, Sequence

import rasterio
from rasterio.enums import Interleaving
from rasterio.windows import Window

Block = tuple[int, int]  # column and row of a block


def blocks_of(file: rasterio.DatasetReader, window: Window) -> set[Block]:
    """The blocks that a window of whole pixels inside the file touches."""
    height, width = file.block_shapes[0]
    columns = range(int(window.col_off) // width, -(-int(window.col_off + window.width) // width))
    rows = range(int(window.row_off) // height, -(-int(window.row_off + window.height) // height))
    return {(column, row) for column in columns for row in rows}


def stored_bytes(file: rasterio.DatasetReader, blocks: Iterable[Block], bands: Sequence[int] = (1,)) -> int | None:
    """Compressed bytes of some blocks of some bands, or None where the file is no GeoTIFF and its header does not say.

    Args:
        file: Open.
        blocks: As ``blocks_of`` gives them.
        bands: Numbers from 1; where pixels of all bands lie together, one band brings all of them.
    """
    if file.driver != "GTiff":
        return None
    together = file.interleaving in (Interleaving.pixel, None)
    counted = bands[:1] if together else bands
    sizes = (
        file.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band) for column, row in blocks for band in counted
    )
    return sum(int(size or 0) for size in sizes)  # a block that was never written has no size
