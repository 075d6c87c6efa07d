"""Geography and data flow: regions, grid, imagery, composites, map store, editions, ledger and areas."""
