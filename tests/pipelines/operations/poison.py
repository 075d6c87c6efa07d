"""``python -m tests.pipelines.operations.poison map CONFIG --year Y`` is ``stook`` that some tiles kill.

They are named in the file ``poison`` beside the configuration. Whatever process begins one of them kills itself, as the
kernel kills one for want of memory; of ``TILE+N`` only the first N. The product knows nothing of it. Worker processes
import this module as ``__mp_main__``, with the same arguments.
"""

import os
import signal
import sys
from pathlib import Path

from stook.transforms.editions.ledger import Ledger
from stook.transforms.ground.grid import Tile

FILE = "poison"


def poison(tiles: str) -> None:
    """Make beginning any of ``tiles`` fatal."""
    pairs = (name.partition("+") for name in tiles.split())
    fatal = {name: int(times or sys.maxsize) for name, _, times in pairs}
    begin = Ledger.begin

    def replacement(ledger: Ledger, tile: Tile) -> int:
        attempts = begin(ledger, tile)
        if attempts <= fatal.get(tile.name, 0):
            (ledger.folder.parent / "maps.zarr" / f".shard.{attempts}.partial").write_bytes(b"half a sh")
            os.kill(os.getpid(), signal.SIGKILL)
        return attempts

    Ledger.begin = replacement  # type: ignore[method-assign]


if __name__ in ("__main__", "__mp_main__"):
    poison((Path(sys.argv[2]).parent / FILE).read_text())

if __name__ == "__main__":
    from stook.pipelines.cli import main

    main()
