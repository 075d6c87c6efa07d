"""The lab book: every figure we claim, got again by one command (``make evidence``)."""
