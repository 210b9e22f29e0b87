"""Keys of a sample, the dictionary that travels from acquisition to classifier."""

from typing import Final

KSPACE: Final = "kspace"  # complex64 (coil, H, W)
SENSITIVITIES: Final = "sensitivities"  # complex64, same shape
MASK: Final = "mask"  # bool, broadcastable to k-space
REFERENCE: Final = "reference"  # float32 (1, H, W)
IMAGE: Final = "image"  # float32 (1, H, W)
LABEL: Final = "label"  # int
SUBJECT: Final = "subject"  # str
SITE: Final = "site"  # str
CASE: Final = "case"  # str
