"""Maps of smallholder farming from satellite archives, and the figures that are published from them."""

__version__ = "0.2.0"
