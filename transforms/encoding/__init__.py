"""How encoders see composites: where chips lie, how they are cut and blended."""
