"""Simulated landscapes and archives, for the demonstration and the tests. Nothing here is real imagery."""
