"""Design-based estimates from a stratified random sample of reference points: what a statistics office can publish.

A map's own pixel counts are biased by its errors; here the reference points speak and the map only makes them more
precise. Every estimate comes with its standard error, a 95 % interval, the method in words, and a warning where few
points carry it.
"""
