"""Several simulated archives under one catalogue."""

from collections.abc import Sequence
from pathlib import Path

import pystac

from stook.transforms.simulation.catalogue import GLOBAL_EXTENT


def together(archives: Sequence[Path], folder: Path) -> Path:
    """One catalogue over the scenes of several archives, which stay where they are; returns its path."""
    catalog = pystac.Catalog("simulated", "Simulated scenes of several places")
    for archive in archives:
        for item in pystac.Catalog.from_file(str(archive / "catalog.json")).get_items(recursive=True):
            name = str(item.collection_id)
            collection = catalog.get_child(name)
            if collection is None:
                collection = pystac.Collection(name, "simulated", GLOBAL_EXTENT)
                catalog.add_child(collection)
            item.make_asset_hrefs_absolute()
            collection.add_item(item.full_copy())
    catalog.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"
