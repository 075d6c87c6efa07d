"""The commands of ``stook``, a module per group of its help: signatures, help, and one call each.

A command reads its configuration first and imports what runs it second, so that a mistake is answered at once.
"""
