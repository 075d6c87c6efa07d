"""Simulated landscapes and archives, for the demonstration and the tests. Nothing here is real imagery.

Networks are trained on these simulations, so whoever changes what they look like counts the version up.
"""

SIMULATOR_VERSION = 2
