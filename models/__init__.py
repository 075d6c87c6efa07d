"""Tensors: input specifications, encoders, heads, bundles and their training. Knows nothing of geography."""
