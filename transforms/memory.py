"""Memory that was freed, back to the system."""

import ctypes


def give_back_freed() -> None:
    """Have the C library return to the system what arrays have freed; does nothing where it cannot.

    glibc keeps freed arrays of up to 32 MB in an arena per thread, for the next of the same thread. Readers are many
    threads, so a process that had read some tiles would hold a quarter of a gigabyte that nothing uses. Never keeping
    them (a fixed ``MALLOC_MMAP_THRESHOLD_``) costs a third more processor time, in page faults; once a tile is free.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
