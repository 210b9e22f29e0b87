"""What a run wrote and from what, so that the next one leaves alone what is whole and would come out the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scanproof.study.store import write_atomically

#: file in the folder of a finished study; it belongs to this machine and proves nothing to others, as the lock does
NAME = ".written.json"


@dataclass(frozen=True)
class Logged:
    """Where a study is tracked.

    Args:
        uri_sha256: hash of the tracking URI, which may hold a password.
        experiment_id: id of its MLflow experiment.
        runs: ids of the runs of its sites.
    """

    uri_sha256: str
    experiment_id: str
    runs: Sequence[str]


@dataclass(frozen=True)
class Written:
    """What a run wrote into its folder.

    Args:
        inputs: hash of all that its files are made from, see :func:`hash_inputs`.
        files: hash of every file, by its path in the folder.
        logged: where the study was tracked at last, if it was.
    """

    inputs: str
    files: Mapping[str, str]
    logged: Logged | None = None

    def write(self, folder: Path) -> None:
        """Note it in the folder.

        Raises:
            ScanproofError: the folder cannot be written.
        """
        write_atomically(folder / NAME, json.dumps(asdict(self), indent=1).encode())

    def is_whole(self, folder: Path) -> bool:
        """Whether every file is there as it was written."""
        try:
            return hash_files(folder, self.files) == self.files
        except OSError:
            return False

    def is_logged(self, uri: str) -> bool:
        """Whether the runs are in this database or on this server, finished and not deleted."""
        from scanproof.tracking.there import are_there

        return self.logged is not None and self.logged.uri_sha256 == hash_uri(uri) and are_there(uri, self.logged.runs)


def read_written(folder: Path) -> Written | None:
    """What the last run noted; None where there is no note, or none that can be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     Written(inputs="0", files={}).write(Path(name))
        ...     read_written(Path(name))
        Written(inputs='0', files={}, logged=None)
    """
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        logged = content.pop("logged")
        return Written(**content, logged=None if logged is None else Logged(**logged))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def hash_inputs(content: Mapping[str, object]) -> str:
    """Hash of what files are made from: JSON values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hash_uri(uri: str) -> str:
    """What a note tells of a tracking URI."""
    return hashlib.sha256(uri.encode()).hexdigest()


def hash_files(folder: Path, names: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Hash of files by their names in a folder.

    Raises:
        OSError: one cannot be read.
    """
    found = {}
    for name in names:
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
