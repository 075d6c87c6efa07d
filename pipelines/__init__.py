"""What users run: the ``stook`` command, the configuration, and one module per runnable pipeline."""

if __name__ == "pipelines":
    raise ImportError("the package is stook: import stook.pipelines")
