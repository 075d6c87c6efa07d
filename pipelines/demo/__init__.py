"""The demonstration: a simulated landscape, mapped from end to end and held against its truth."""
