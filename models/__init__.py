"""Tensors: input specifications, encoders, heads, bundles and their training. Knows nothing of geography."""

if __name__ == "models":
    raise ImportError("the package is stook: import stook.models")
