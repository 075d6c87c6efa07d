"""How much memory there is, how much of what is freed a process keeps, and which process goes when there is none."""

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 8 * 2**20  # per thread's arena: two layers of a tile, enough that most arrays need no fresh pages
MEMINFO = Path("/proc/meminfo")
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")  # of a container
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
    options = getattr(ctypes.CDLL(None), "mallopt", None)
    if options is not None:
        options(M_TRIM_THRESHOLD, KEPT_BYTES)
        options(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)


def be_ended_first() -> None:
    """Have the kernel, when memory runs out, end this process rather than the one that started it.

    Anybody may raise this of their own process; where the kernel does not ask (macOS), nothing happens.
    """
    with suppress(OSError):
        PREFERENCE.write_text(str(min(MOST_PREFERRED, int(PREFERENCE.read_text()) + PREFERRED_BY)))


def available_bytes() -> int:
    """Memory that this process may still take: what the kernel could free for it, within a container's limit.

    Where the kernel does not tell (macOS), all that the machine has.
    """
    try:
        told = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
        available = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(available, max(0, int(LIMIT.read_text()) - int(USED.read_text())))
    except (OSError, ValueError):  # no container, or "max": no limit
        return available
