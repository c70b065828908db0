"""Files from outside: images and curves of other instruments, read with limits.

TIFF and HDF5 become arrays with the size of a pixel, delimited text becomes columns with units.
A file that is too large, damaged, or not what it seems is refused with a `DataFileError` that names
file, field and remedy; nothing in a file is ever executed, and no other file is opened on its word.
"""

from orchestrator.files.curves import (
    ProfileFile,
    RecordsFile,
    SpectrumFile,
    read_profile,
    read_records,
    read_spectrum,
)
from orchestrator.files.images import ImageStack, read_images
from orchestrator.files.tables import Column, Table, read_table

__all__ = [
    "Column",
    "ImageStack",
    "ProfileFile",
    "RecordsFile",
    "SpectrumFile",
    "Table",
    "read_images",
    "read_profile",
    "read_records",
    "read_spectrum",
    "read_table",
]
