"""Figures as statistics offices publish them: geometry, SDMX, dictionary, methods, revisions and time series."""
