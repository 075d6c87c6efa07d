"""Where results are kept: folders and buckets of Google Cloud Storage, behind one set of functions.

Everything that decides something (pointer, lease, ledger, edition) goes through here; pixels go through Zarr.
"""

from stook.transforms.store.addresses import CLOUD, Address, address_of, is_cloud, zarr_store
from stook.transforms.store.failures import CLOUD_FAILURES, STORE_FAILURES, ChangedError, reason_of, writing
from stook.transforms.store.files import (
    SCRAP,
    as_file,
    bytes_below,
    exists,
    fetched,
    files_in,
    folders_in,
    json_bytes,
    link,
    names_below,
    read_bytes,
    read_json,
    remove,
    remove_folder,
    replacing,
    require_writable,
    scraps_below,
    sweep,
    write_bytes,
    write_json,
)
from stook.transforms.store.swapping import Version, read_versioned, swap
from stook.transforms.store.uploading import upload_whole
from stook.transforms.store.whole import appearing, read_whole, whole_folders

__all__ = [
    "CLOUD",
    "CLOUD_FAILURES",
    "SCRAP",
    "STORE_FAILURES",
    "ChangedError",
    "Address",
    "Version",
    "appearing",
    "as_file",
    "bytes_below",
    "exists",
    "fetched",
    "files_in",
    "folders_in",
    "is_cloud",
    "json_bytes",
    "link",
    "names_below",
    "address_of",
    "read_bytes",
    "read_json",
    "read_versioned",
    "read_whole",
    "reason_of",
    "remove",
    "remove_folder",
    "replacing",
    "require_writable",
    "scraps_below",
    "swap",
    "sweep",
    "upload_whole",
    "whole_folders",
    "write_bytes",
    "write_json",
    "writing",
    "zarr_store",
]
