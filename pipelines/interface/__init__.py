"""What ``import stook`` offers, a module per function; ``stook/__init__.py`` has their signatures and documentation."""
