"""Figures from published editions: areas, samples and the estimates they give, reports for publication."""
