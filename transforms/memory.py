"""How much memory there is, how much of what is freed a process keeps, and which process goes when there is none."""

import ctypes
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 8 * 2**20  # per thread's arena: two layers of a tile, enough that most arrays need no fresh pages
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")  # of a container of Linux
PREFERENCE = Path("/proc/self/oom_score_adj")  # see proc(5)
PREFERRED_BY, MOST_PREFERRED = 500, 1000  # thousandths of all memory, which the kernel adds to what a process takes
LARGEST_KEPT_BYTES = 32 * 2**20  # larger arrays are always returned; what glibc would arrive at by itself


@cache
def keep_little_freed() -> None:
    """Have the C library return freed arrays to the system, once per process; does nothing where it is not glibc.

    Left alone, glibc lets every thread's arena keep up to 64 MB at its top, which ``malloc_trim`` does not reach: with
    a dozen threads that read, a quarter of a gigabyte that nothing uses, after some tiles. Keeping nothing at all would
    cost a third more processor time, in page faults.
    """
    try:
        options = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # Windows has no one library to name
        return
    options(M_TRIM_THRESHOLD, KEPT_BYTES)
    options(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)


def be_ended_first() -> None:
    """Have the kernel, when memory runs out, end this process rather than the one that started it.

    Anybody may raise this of their own process; where the kernel does not ask (only Linux does), nothing happens.
    """
    with suppress(OSError):
        now = int(PREFERENCE.read_text(encoding="ascii"))
        PREFERENCE.write_text(str(min(MOST_PREFERRED, now + PREFERRED_BY)), encoding="ascii")


def available_bytes() -> int:
    """Memory that this process may still take: what the system could free for it, within a container's limit."""
    available = int(psutil.virtual_memory().available)
    try:
        left = int(LIMIT.read_text(encoding="ascii")) - int(USED.read_text(encoding="ascii"))
        return min(available, max(0, left))
    except (OSError, ValueError):  # no container, or "max": no limit
        return available
