"""The content-addressed store: what a task gave, under the hash of what it was asked."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.study.executors.beacon import beacon

#: errors of a file system that mean that an entry is not whole; others may pass, and cost no finished result
_DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)
#: of the files of entries
_SUFFIXES = (".json", ".safetensors", ".parquet", ".npy")
#: keys with one beginning up to which each is asked for by itself
_FEW = 4


class DamagedEntryError(ScanproofError):
    """An entry whose files do not have the hashes they were stored with.

    Args:
        place: of the entry.
        entry: its key.
        found: what was wrong.
        removed: whether the entry was removed.
    """

    def __init__(self, place: Path | str, *, entry: str, found: str, removed: bool = True) -> None:
        self.entry = entry
        super().__init__(
            f"stored result must be intact{'; it was removed' if removed else ''}",
            file=place,
            value=found,
            hint="run again to compute it anew",
        )


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
        self._scratch: list[Path] = []

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.root.absolute())

    def __contains__(self, key: object) -> bool:
        return (self.folder(str(key)) / "entry.json").is_file()

    def present(self, keys: Iterable[str]) -> set[str]:
        """Which of these keys are stored; of many, folders are listed rather than entries asked for one by one."""
        asked: dict[str, set[str]] = {}
        for key in keys:
            asked.setdefault(key[:2], set()).add(key)
        found: set[str] = set()
        for prefix, those in asked.items():
            if len(those) <= _FEW:
                found.update(key for key in those if key in self)
            else:
                with suppress(FileNotFoundError), os.scandir(self.root / prefix) as entries:
                    found |= those.intersection(entry.name for entry in entries)
        return found

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

        partial = self._aside(key)
        try:
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
            raise _unwritable(self.root, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # a full disk gets back what does not become an entry

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
                if key not in self:  # not a race that another process won
                    self.remove(key)  # what a damaged file system has left of an entry
                    partial.rename(folder)
        except OSError as error:
            raise _unwritable(self.root, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def get(self, key: str) -> Payload:
        """Read a payload and check its hashes.

        Raises:
            DamagedEntryError: missing, truncated or altered files. The entry is removed, so that the next run
                computes it again.
            ScanproofError: files that cannot be read for now (no permission, too many open files). The entry stays.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        folder = self.folder(key)
        try:
            entry = json.loads((folder / "entry.json").read_bytes())
            if entry["key"] != key or "facts.json" not in entry["sha256"]:
                raise ValueError("entry.json")
            large = [name for name in entry["sha256"] if name.endswith(".npy")]
            contents = {name: (folder / name).read_bytes() for name in entry["sha256"] if name not in large}
            for name, data in contents.items():
                if hashlib.sha256(data).hexdigest() != entry["sha256"][name]:
                    raise ValueError(name)
            for name in large:
                if _file_hash(folder / name) != entry["sha256"][name]:
                    raise ValueError(name)
            arrays = {name.removesuffix(".npy"): np.load(folder / name, mmap_mode="r") for name in large}
            if "arrays.safetensors" in contents:
                arrays |= load(contents["arrays.safetensors"])
            tables = {
                name.removesuffix(".parquet"): pd.read_parquet(io.BytesIO(data))
                for name, data in contents.items()
                if name.endswith(".parquet")
            }
            return Payload(arrays=arrays, tables=tables, facts=json.loads(contents["facts.json"]))
        # an entry may be anything once it is damaged, and so may be what libraries raise
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
            if isinstance(error, OSError) and error.errno is not None and error.errno not in _DAMAGE:
                rule = f"stored result must be readable: {error.strerror or error}"
                raise ScanproofError(rule, file=folder) from error
            self.remove(key)
            raise DamagedEntryError(folder, entry=key, found=str(error)) from None

    def keys(self) -> Iterator[str]:
        """Keys of all entries in order, those that are not whole among them."""
        for folder in sorted(self.root.glob("??/*")):
            if _is_key(folder.name) and folder.name[:2] == folder.parent.name and folder.is_dir():
                yield folder.name

    def check(self, key: str) -> int:
        """Compare the files of an entry with their hashes, a piece at a time; unlike :meth:`get`, it removes nothing.

        Returns:
            Bytes of its files.

        Raises:
            DamagedEntryError: missing, truncated or altered files.
        """
        folder = self.folder(key)
        try:
            entry = json.loads((folder / "entry.json").read_text())
            if entry["key"] != key:
                raise ValueError(f"entry.json is that of {entry['key']}")
            for name, digest in entry["sha256"].items():
                if not (folder / name).is_file():
                    raise ValueError(f"{name} is missing")
                if _file_hash(folder / name) != digest:
                    raise ValueError(f"{name} is not as it was stored")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}" if isinstance(error, OSError | KeyError) else str(error)
            raise DamagedEntryError(folder, entry=key, found=reason, removed=False) from None
        return sum((folder / name).stat().st_size for name in ("entry.json", *entry["sha256"]))

    def strangers(self) -> list[Path]:
        """What lies in the folder of the store and is not its own."""
        own = {self.folder(key) for key in self.keys()}
        found = []
        for path in sorted(self.root.glob("*")):
            if path.is_dir() and len(path.name) == 2:
                found += [inner for inner in sorted(path.iterdir()) if inner not in own]
            elif path.name not in ("partial", "unfinished"):
                found.append(path)
        inside = (path for folder in sorted(own) for path in sorted(folder.iterdir()))
        return found + [path for path in inside if path.is_dir() or path.suffix not in _SUFFIXES]

    def partial(self) -> dict[str, int]:
        """Names and bytes of writes that are not finished, by processes that run or were killed."""
        found = {}
        for path in sorted((self.root / "partial").glob("*")):
            files = path.rglob("*") if path.is_dir() else [path]
            found[path.name] = sum(file.stat().st_size for file in files if file.is_file())
        return found

    def checkpoints(self) -> list[str]:
        """Keys of the tasks that keep how far they have come, see :meth:`unfinished`."""
        return sorted(path.stem for path in (self.root / "unfinished").glob("*.pt"))

    def remove(self, key: str) -> None:
        """Forget an entry, in one step: a process that is killed leaves all of it or nothing.

        Raises:
            ScanproofError: the store cannot be written.
        """
        away = self._aside(key)
        try:
            away.parent.mkdir(parents=True, exist_ok=True)
            self.folder(key).rename(away)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unwritable(self.root, error) from error
        shutil.rmtree(away, ignore_errors=True)

    def scratch(self) -> Path:
        """A new folder for files that become part of a payload; :meth:`sweep` removes what is left of it."""
        folder = self.root / "partial" / f"scratch-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise _unwritable(self.root, error) from error
        self._scratch.append(folder)
        return folder

    def clear_scratch(self) -> None:
        """Remove the folders of :meth:`scratch` that this object has made, so that a task that failed leaves none."""
        while self._scratch:
            shutil.rmtree(self._scratch.pop(), ignore_errors=True)

    def unfinished(self, key: str) -> Path:
        """File in which a task keeps how far it has come, so that it can go on after a kill."""
        return self.root / "unfinished" / f"{key}.pt"

    def sweep(self) -> int:
        """Remove what killed processes left in ``partial`` a day ago, and trainings left alone for a month.

        Returns:
            How many folders and files were removed.
        """
        import time

        day, removed = 86_400, 0
        for pattern, age in (("partial/*", day), ("unfinished/*", 30 * day)):
            for path in self.root.glob(pattern):
                try:
                    # a folder does not tell that a file in it grows
                    if time.time() - max(one.stat().st_mtime for one in (path, *path.rglob("*"))) <= age:
                        continue
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()
                    removed += 1
                except OSError:
                    continue
        return removed

    def _aside(self, key: str) -> Path:
        """A folder of one's own for files of an entry that come or go."""
        return self.root / "partial" / f"{key[:16]}-{uuid.uuid4().hex}"

    def folder(self, key: str) -> Path:
        """Folder of an entry."""
        return self.root / key[:2] / key


def _is_key(name: str) -> bool:
    """Whether a name is the hash of a task."""
    return len(name) == 64 and all(character in "0123456789abcdef" for character in name)


def _unwritable(root: Path, error: OSError) -> ScanproofError:
    hint = "finished tasks are kept: mend this and run again"
    return ScanproofError(f"store must be writable: {error.strerror or error}", file=root, hint=hint)


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
