"""From archives to composites: seasons, catalogues, assets, cloud-masked reductions, pictures."""
