"""Which UTM zones a simulated place lies in, and the grids of the scenes that show it there."""

from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, box
from pyproj import Transformer

from stook.transforms.simulation.ground import Place

SCENE_RESOLUTION_M = 10
SCENE_SNAP_M = 20  # scenes start on the 20 m grid, so that both resolutions share their corner
OVERLAP_M = 300.0  # how far a scene reaches into the neighbouring zone, as Sentinel-2 tiles do
MGRS_BANDS = "CDEFGHJKLMNPQRSTUVWX"
MGRS_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
MGRS_ROWS = ("FGHJKLMNPQRSTUVABCDE", "ABCDEFGHJKLMNPQRSTUV")


def zone_parts(place: Place) -> dict[int, Geometry]:
    """The part of the place in each UTM zone and hemisphere: EPSG code -> polygon in longitude and latitude."""
    outline = place.rectangle().segmented(100).to_crs("EPSG:4326")
    west, south, east, north = outline.boundingbox
    parts = {}
    for zone in range(_zone_number(west), _zone_number(east) + 1):
        for base, low, high in ((32700, -90.0, 0.0), (32600, 0.0, 90.0)):
            if low < north and south < high:
                ground = box(6.0 * zone - 186, low, 6.0 * zone - 180, high, "EPSG:4326") & outline
                if not ground.is_empty and ground.area > 0:
                    parts[base + zone] = ground
    return parts


def scene_grid(place: Place, epsg: int) -> GeoBox:
    """The 10 m grid of the scenes in one zone: the place's part there and an overlap across the meridian."""
    crs = f"EPSG:{epsg}"
    part = zone_parts(place)[epsg].to_crs(crs).buffer(OVERLAP_M).boundingbox
    whole = place.rectangle(100).to_crs(crs).boundingbox
    low = (max(part.left, whole.left), max(part.bottom, whole.bottom))
    high = (min(part.right, whole.right), min(part.top, whole.top))
    left, bottom = (SCENE_SNAP_M * int(edge // SCENE_SNAP_M) for edge in low)
    right, top = (SCENE_SNAP_M * int(-(-edge // SCENE_SNAP_M)) for edge in high)
    return GeoBox.from_bbox((left, bottom, right, top), crs=crs, resolution=SCENE_RESOLUTION_M)


def grid_code(geobox: GeoBox, epsg: int) -> str:
    """The 100 km MGRS square of the grid's centre, e.g. ``36PZQ``; ``epsg`` is the grid's UTM zone."""
    zone, bounds = epsg % 100, geobox.boundingbox
    x, y = (bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2
    latitude = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)[1]
    band = MGRS_BANDS[min(int((latitude + 80) // 8), len(MGRS_BANDS) - 1)]
    column = MGRS_COLUMNS[zone % 3][int(x // 1e5) - 1]
    return f"{zone}{band}{column}{MGRS_ROWS[zone % 2][int(y // 1e5) % 20]}"


def _zone_number(longitude: float) -> int:
    return int((longitude + 180) // 6) + 1
