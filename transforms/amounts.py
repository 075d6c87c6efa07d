"""How much the work on a tile takes: scenes and assets opened, bytes read, chips and pixels encoded."""

from threading import Lock


class Amounts:
    """Counts to which several threads may add.

    Attributes:
        assets: How often a file of an archive was opened.
        bytes_read: Compressed bytes of the blocks that were read of them, headers left out.
        unsized: Of ``assets``, those of which the bytes are unknown and not counted.
        chips: Shown to an encoder.
        pixels: In these chips.
    """

    def __init__(self) -> None:
        self.assets = self.bytes_read = self.unsized = self.chips = self.pixels = 0
        self._scenes: set[str] = set()
        self._lock = Lock()

    @property
    def scenes(self) -> int:
        """Scenes of which some asset was opened."""
        return len(self._scenes)

    def opened(self, scene: str) -> None:
        """Count an asset of a scene."""
        with self._lock:
            self._scenes.add(scene)
            self.assets += 1

    def read(self, size: int | None) -> None:
        """Count the bytes that were read of an asset; None where nobody knows."""
        with self._lock:
            if size is None:
                self.unsized += 1
            else:
                self.bytes_read += size

    def encoded(self, chips: int, pixels_per_chip: int) -> None:
        """Count chips that an encoder saw."""
        with self._lock:
            self.chips += chips
            self.pixels += chips * pixels_per_chip

    def counts(self) -> dict[str, int]:
        """By name, as the ledger keeps them; ``unsized`` only where there are any."""
        found = {name: getattr(self, name) for name in ("scenes", "assets", "bytes_read", "chips", "pixels")}
        return found | {"unsized": self.unsized} if self.unsized else found
