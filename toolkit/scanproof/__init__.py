"""scanproof: how far can an MR reconstruction and classification chain be trusted?"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("scanproof")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
