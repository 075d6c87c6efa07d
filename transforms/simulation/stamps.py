"""Many small discs, drawn into an image at once with soft edges."""

import numpy as np


def stamp(
    shape: tuple[int, int],
    columns: np.ndarray,
    rows: np.ndarray,
    radius: np.ndarray,
    tone: np.ndarray | float = 1.0,
    slope: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray]:
    """Draw discs; where two overlap, whichever covers more of a pixel is seen.

    Args:
        shape: Rows and columns of the image.
        columns: Centres in pixels from its western edge, float [disc].
        rows: Centres in pixels from its northern edge.
        radius: In pixels.
        tone: Brightness of each disc.
        slope: What is added to the brightness at the disc's eastern and southern end, and taken away opposite.

    Returns:
        Share of each pixel under discs, and their brightness there; float32 [y, x].
    """
    cover, light = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    flat_cover, flat_light = cover.reshape(-1), light.reshape(-1)
    columns, rows, radius, tone = (
        np.broadcast_to(np.asarray(value, np.float32), columns.shape) for value in (columns, rows, radius, tone)
    )
    reaches = np.ceil(radius).astype(int)
    for reach in np.unique(reaches):
        these = np.flatnonzero(reaches == reach)
        x, y, size, bright = columns[these], rows[these], radius[these], tone[these]
        column, row = np.floor(x).astype(int), np.floor(y).astype(int)
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                east, south = column + across + 0.5 - x, row + down + 0.5 - y
                share = np.minimum(size - np.hypot(east, south) + 0.5, 1)
                on = (share > 0) & (column + across >= 0) & (column + across < shape[1])
                on &= (row + down >= 0) & (row + down < shape[0])
                at = ((row + down) * shape[1] + column + across)[on]
                better = share[on] > flat_cover[at]
                at, on = at[better], np.flatnonzero(on)[better]
                flat_cover[at] = share[on]
                flat_light[at] = bright[on] * (1 + (slope[0] * east[on] + slope[1] * south[on]) / size[on])
    return cover, light
