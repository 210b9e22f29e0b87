"""scanproof: how far can an MR reconstruction and classification chain be trusted?"""

import os
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("scanproof")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

# MONAI imports MLflow, and MLflow reports its use to its makers unless told not to: nothing leaves a hospital unasked
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

__all__ = ["__version__"]
