"""A fictional savanna landscape, drawn once in a frame of its own.

The ground is a raster of 5 m in a transverse Mercator frame centred on the place. Every scene, of whichever UTM zone,
looks the same ground up by position, so neighbouring zones see one landscape.
"""

from dataclasses import dataclass

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from stook.transforms.simulation.ground import Cover, Crop, Ground, Parcels, Place
from stook.transforms.simulation.settlements import Houses
from stook.transforms.simulation.sketch import Sketch

__all__ = ["Cover", "Crop", "Ground", "Landscape", "Place"]

GROUND_RESOLUTION_M = 5.0
MARGIN_M = 400.0  # ground beyond the place, so that overlapping and slightly rotated scenes are full


@dataclass(frozen=True)
class Landscape:
    """A simulated place.

    Attributes:
        place: Where it is.
        geobox: Grid of ``ground`` in the place's own frame, 5 m.
        ground: What stands there.
        parcels: Who farms it.
        houses: Every house.
        town: Position (x, y) of the town in the frame, metres.
    """

    place: Place
    geobox: GeoBox
    ground: Ground
    parcels: Parcels
    houses: Houses
    town: tuple[float, float]

    @classmethod
    def simulate(cls, place: Place | None = None) -> "Landscape":
        """The landscape of ``place``: the same for the same place, always."""
        place = place or Place()
        outline = place.rectangle(MARGIN_M)
        geobox = GeoBox.from_bbox(outline.boundingbox, crs=place.frame, resolution=GROUND_RESOLUTION_M)
        sketch = Sketch(place, geobox).finish()
        return cls(place, geobox, sketch.ground, sketch.parcels, sketch.houses, sketch.town)

    def locate(self, geobox: GeoBox) -> tuple[np.ndarray, np.ndarray]:
        """Metres (east, north) in the place's frame of the pixel centres of ``geobox``, float64 [y, x]."""
        columns, rows = np.meshgrid(np.arange(geobox.shape.x) + 0.5, np.arange(geobox.shape.y) + 0.5)
        to_frame = Transformer.from_crs(str(geobox.crs), self.place.frame, always_xy=True)
        return to_frame.transform(*(geobox.transform @ (columns, rows)))

    def at(self, geobox: GeoBox) -> Ground:
        """The ground nearest to the pixel centres of ``geobox``, in any projection."""
        columns, rows = ~self.geobox.transform @ self.locate(geobox)
        return self.ground.take(np.floor(rows).astype(int), np.floor(columns).astype(int))
