"""What a configuration may choose of the data flow. Plain words, so that a configuration is checked at once."""

import re
from typing import Literal

MOST_OBSERVATIONS = 254  # 255 is the nodata value of the published count
MOST_DILATION_PX = 50

Storage = Literal["float32", "float16", "int8"]
"""Data type of stored feature vectors."""

Combination = Literal["maximum", "mean"]
"""Which of a cell's dates counts."""

Allocation = Literal["proportional", "equal", "neyman"]
"""How a sample's points are shared among strata."""

Rule = Literal["leave_out", "majority", "first", "second", "third"]
"""What holds where interpreters disagree."""

Grouping = Literal["blocks", "components"]
"""What stays on one side of a split into training and held-out ground."""

STORES = ("gs",)
"""Schemes of what is read and written as files; a path of this machine has none."""

LINKS = ("gs", "http", "https")
"""Schemes of catalogues."""

# Two letters at least: C:/ is a path. One slash: what a path leaves of two.
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def refused(address: str, allowed: tuple[str, ...] = STORES) -> str | None:
    """Why nothing can be read or written at an address; None where it can."""
    scheme = SCHEME.match(address)
    if scheme and (scheme[1] not in allowed or not address.startswith(f"{scheme[1]}://")):
        return f"{address!r}; allowed are a path of this machine and {', '.join(f'{name}://…' for name in allowed)}"
    return f"{address!r} holds a zero byte; no path does" if "\0" in address else None
