"""What a configuration may choose of the data flow. Plain words, so that a configuration is checked at once."""

from typing import Literal

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
