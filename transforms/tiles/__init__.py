"""The work on a tile: imagery to maps, maps to derived maps, and what reads them again."""
