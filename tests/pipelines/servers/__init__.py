"""Tests against servers that nobody here wrote; ``make test-servers`` installs them."""
