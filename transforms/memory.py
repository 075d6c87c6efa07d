"""How much freed memory a process keeps."""

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 8 * 2**20  # per thread's arena: two layers of a tile, enough that most arrays need no fresh pages
LARGEST_KEPT_BYTES = 32 * 2**20  # larger arrays are always returned; what glibc would arrive at by itself


@cache
def keep_little_freed() -> None:
    """Have the C library return freed arrays to the system, once per process; does nothing where it is not glibc.

    Left alone, glibc lets every thread's arena keep up to 64 MB at its top, which ``malloc_trim`` does not reach: with
    a dozen threads that read, a quarter of a gigabyte that nothing uses, after some tiles. Keeping nothing at all would
    cost a third more processor time, in page faults.
    """
    options = getattr(ctypes.CDLL(None), "mallopt", None)
    if options is not None:
        options(M_TRIM_THRESHOLD, KEPT_BYTES)
        options(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
