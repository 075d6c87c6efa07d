"""The ground: zones and tiles, units and their geometry, ellipsoidal areas, cells."""
