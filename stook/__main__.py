"""``python -m stook`` is the command ``stook``."""

from stook.pipelines.cli import main

if __name__ == "__main__":
    main()
