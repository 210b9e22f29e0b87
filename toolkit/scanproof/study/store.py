"""The content-addressed store: what a task gave, under the hash of what it was asked."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import uuid
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.study.executors.beacon import beacon


class DamagedEntryError(ScanproofError):
    """An entry whose files do not have the hashes they were stored with."""


@dataclass(frozen=True)
class Payload:
    """What a task gives.

    Args:
        arrays: named NumPy arrays.
        tables: named pandas tables.
        facts: further values, as JSON.
        large: named ``.npy`` files in a folder of :meth:`Store.scratch`, which the store takes over. They are read as
            memory-mapped ``arrays``, so that neither writing nor reading holds them in memory.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    large: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a store is, to be told to another process.

    Args:
        root: folder of the store, absolute; of a store on a URL that of its local copies, None for one in the folder
            for temporary files.
        url: of a store that is not a folder.
    """

    root: Path | None
    url: str | None = None

    def open(self) -> Store:
        """The store there."""
        if self.url is None:
            if self.root is None:
                raise ValueError("a place must have a folder or a URL")
            return Store(self.root)
        from scanproof.study.remote_store import RemoteStore

        return RemoteStore(self.url, self.root)

    def elsewhere(self) -> Place:
        """The same place, told to another machine."""
        return self if self.url is None else Place(None, self.url)


class Store:
    """Payloads on disk, one folder each, written atomically and checked when read.

    An entry appears under its final name only when it is complete, so a process that is killed leaves nothing but
    an unused folder in ``partial``. Files are safetensors, NumPy arrays without objects, parquet and JSON: reading an
    entry executes no code.

    Args:
        root: folder of the store; made on first use.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.root.absolute())

    def __contains__(self, key: object) -> bool:
        return (self.folder(str(key)) / "entry.json").is_file()

    def snapshot(self) -> Container[str]:
        """What is there, to be asked for many keys: a store that is far away is asked once."""
        return self

    def publish(self, keys: Sequence[str]) -> None:
        """Show others what only this process can see of some keys; in a folder, all see everything."""

    @contextmanager
    def beacon(self) -> Iterator[tuple[Path, ...]]:
        """Files by which workers find out that they see this store, for the time of a ``with`` block."""
        with beacon(self.root / "partial") as path:
            yield (path,)

    def put(self, key: str, payload: Payload, *, task: Mapping[str, object]) -> None:
        """Store a payload; a payload that is there already stays.

        Args:
            key: the task's hash.
            payload: what to store.
            task: what the task was, kept beside the payload for a reader.

        Raises:
            ScanproofError: the store cannot be written (disk full, no permission).
        """
        from safetensors.numpy import save

        try:
            partial = self.root / "partial" / f"{key[:16]}-{uuid.uuid4().hex}"
            partial.mkdir(parents=True)
            contents = {"facts.json": json.dumps(dict(payload.facts), sort_keys=True, default=str).encode()}
            if payload.arrays:
                arrays = {name: np.ascontiguousarray(array) for name, array in payload.arrays.items()}
                contents["arrays.safetensors"] = save(arrays)
            for name, table in payload.tables.items():
                buffer = io.BytesIO()
                table.to_parquet(buffer, index=False)
                contents[f"{name}.parquet"] = buffer.getvalue()
            hashes = {}
            for name, data in contents.items():
                (partial / name).write_bytes(data)
                hashes[name] = hashlib.sha256(data).hexdigest()
            for name, path in payload.large.items():
                path.replace(partial / f"{name}.npy")
                hashes[f"{name}.npy"] = _file_hash(partial / f"{name}.npy")
            entry = {"key": key, "task": dict(task), "sha256": hashes}
            self.take(key, partial, json.dumps(entry, indent=1, sort_keys=True, default=str).encode())
        except OSError as error:
            raise ScanproofError(f"store must be writable: {error.strerror or error}", file=self.root) from error

    def take(self, key: str, partial: Path, entry: bytes) -> None:
        """Make a folder of ``partial`` that holds an entry's files the entry; one that is there already stays.

        Raises:
            ScanproofError: the store cannot be written.
        """
        folder = self.folder(key)
        try:
            (partial / "entry.json").write_bytes(entry)
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.rename(folder)
            except OSError:
                shutil.rmtree(partial, ignore_errors=True)
                if key not in self:  # not a race that another process won
                    raise
        except OSError as error:
            raise ScanproofError(f"store must be writable: {error.strerror or error}", file=self.root) from error

    def get(self, key: str) -> Payload:
        """Read a payload and check its hashes.

        Raises:
            DamagedEntryError: missing, truncated or altered files. The entry is removed, so that the next run
                computes it again.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        folder = self.folder(key)
        try:
            entry = json.loads((folder / "entry.json").read_text())
            large = [name for name in entry["sha256"] if name.endswith(".npy")]
            contents = {name: (folder / name).read_bytes() for name in entry["sha256"] if name not in large}
            for name, data in contents.items():
                if hashlib.sha256(data).hexdigest() != entry["sha256"][name]:
                    raise ValueError(name)
            for name in large:
                if _file_hash(folder / name) != entry["sha256"][name]:
                    raise ValueError(name)
            mapped = {name.removesuffix(".npy"): np.load(folder / name, mmap_mode="r") for name in large}
            return Payload(
                arrays=mapped | (load(contents["arrays.safetensors"]) if "arrays.safetensors" in contents else {}),
                tables={
                    name.removesuffix(".parquet"): pd.read_parquet(io.BytesIO(data))
                    for name, data in contents.items()
                    if name.endswith(".parquet")
                },
                facts=json.loads(contents["facts.json"]),
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            self.remove(key)
            raise DamagedEntryError(
                "stored result must be intact; it was removed", file=folder, value=str(error)
            ) from None

    def remove(self, key: str) -> None:
        """Forget an entry."""
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def scratch(self) -> Path:
        """A new folder for files that become part of a payload; :meth:`sweep` removes what is left of it."""
        folder = self.root / "partial" / f"scratch-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise ScanproofError(f"store must be writable: {error.strerror or error}", file=self.root) from error
        return folder

    def unfinished(self, key: str) -> Path:
        """File in which a task keeps how far it has come, so that it can go on after a kill."""
        return self.root / "unfinished" / f"{key}.pt"

    def sweep(self) -> None:
        """Remove what killed processes left in ``partial`` a day ago, and trainings left alone for a month."""
        import time

        day = 86_400
        for pattern, age in (("partial/*", day), ("unfinished/*", 30 * day)):
            for path in self.root.glob(pattern):
                try:
                    if time.time() - path.stat().st_mtime <= age:
                        continue
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()
                except OSError:
                    continue

    def folder(self, key: str) -> Path:
        """Folder of an entry."""
        return self.root / key[:2] / key


def _file_hash(path: Path) -> str:
    """Of a file that need not fit into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        ScanproofError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        try:
            # a new file, with the permissions that the user's umask leaves
            with partial.open("xb") as file:
                file.write(data)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ScanproofError(f"output must be writable: {error.strerror or error}", file=path) from error
