"""Areas and cells of published maps per unit: what values mean, their sums from the ledger or the maps, the table."""
