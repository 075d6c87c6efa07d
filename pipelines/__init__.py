"""What users run: the ``stook`` command, the configuration, and one module per runnable pipeline."""
