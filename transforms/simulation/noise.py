"""Chance that repeats itself: smooth random fields, and random numbers attached to integer keys."""

import numpy as np
from scipy import sparse, special

SMALLEST_STEP = 2.0  # pixels; a finer octave would be white noise


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 1) -> np.ndarray:
    """A smooth random field.

    Args:
        rng: Source of chance.
        shape: Rows and columns.
        scale: Size of the largest features, in pixels.
        octaves: How many times features of half the size and half the amplitude are added.

    Returns:
        float32 [y, x] of mean 0 and standard deviation 1.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = max(scale / 2**octave, SMALLEST_STEP)
        down, across = (_spline(size, step) for size in shape)
        knots = rng.standard_normal((down.shape[1], across.shape[1])).astype(np.float32)
        total += (across @ (down @ knots).T).T * np.float32(0.5**octave)
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def key_of(*parts: np.ndarray | int) -> np.ndarray:
    """One uint64 key for a tuple of integers (arrays broadcast), by the SplitMix64 finaliser."""
    key = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            key = key + np.asarray(part).astype(np.int64).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            key = key ^ (key >> np.uint64(31))
    return key


def uniform(key: np.ndarray, salt: int) -> np.ndarray:
    """float32 in (0, 1), always the same for the same ``key`` and ``salt``."""
    bits = key_of(key.view(np.int64), salt) >> np.uint64(41)  # 23 bits: every value is exact in float32
    return (bits.astype(np.float32) + np.float32(0.5)) / np.float32(2**23)


def normal(key: np.ndarray, salt: int) -> np.ndarray:
    """float32 standard normal deviate, always the same for the same ``key`` and ``salt``."""
    return special.ndtri(uniform(key, salt)).astype(np.float32)


def _spline(size: int, step: float) -> sparse.csr_array:
    """Uniform cubic B-spline of knots every ``step`` pixels: float32 weights [pixel, knot], rows summing to 1."""
    place = np.arange(size) / step
    first = place.astype(int)
    t = (place - first)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    knots = first[:, None] + np.arange(4)
    rows = np.repeat(np.arange(size), 4)
    return sparse.csr_array((weights.astype(np.float32).ravel(), (rows, knots.ravel())), shape=(size, first[-1] + 4))
