"""Reference samples: strata on a published map, points drawn in them, files for interpreters, and their answers."""
