"""A store on a URL, such as a bucket of an object store, with local copies of what was read or written."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scanproof.errors import ScanproofError
from scanproof.study.store import DamagedEntryError, Payload, Place, Store
from scanproof.tracking.uri import redact

#: what to install for a scheme
_DRIVERS = {
    "s3": "scanproof[s3]",
    "s3a": "scanproof[s3]",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
}
#: how the drivers of schemes are told to give up in time: a machine that is away for longer is away
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3}}}
}
#: entries of which a listing is fetched rather than each asked for
_MANY = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def open_store(where: str | Path | None, *, root: Path) -> Store:
    """The store that a user names.

    Args:
        where: a folder or a URL, e.g. ``s3://bucket/prefix``; None for ``root/store``.
        root: of the workspace; ``root/store`` holds the local copies of a store on a URL. What is in it and not in the
            other is sent there rather than computed again.

    Raises:
        ScanproofError: a URL that cannot be used.

    Example:
        >>> open_store(None, root=Path("mlruns")).root.as_posix()
        'mlruns/store'
    """
    default = root / "store"
    if where is None or "://" not in str(where):
        return Store(default if where is None else Path(where).expanduser())
    if str(where).startswith("file://"):
        return Store(Path(str(where).removeprefix("file://")))
    return RemoteStore(str(where), default)


class RemoteStore(Store):
    """Payloads on a URL that fsspec knows.

    A file lies there under its SHA-256, ``files/<hash>``, and an entry under its key, ``entries/<key>.json``, which
    names its files and is written when they are all there: an entry that can be seen is whole, whatever was killed,
    and processes that store the same entry at once do not disturb each other. Reading fetches into the local folder and
    checks hashes. Credentials are the driver's own, from its environment variables and files.

    Args:
        url: of a folder or of a prefix in a bucket.
        root: folder of the local copies, a :class:`~scanproof.study.store.Store`; one in the folder for temporary files
            without.

    Raises:
        ScanproofError: a scheme that nothing knows, a driver that is not installed, or a password in the URL.
    """

    def __init__(self, url: str, root: Path | None = None) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.password is not None or parts.query:
            raise ScanproofError(
                "URL of a store must hold no password and no options",
                key="--store",
                value=redact(f"{parts.scheme}://{parts.netloc}{parts.path}"),
                hint="credentials come from the environment, e.g. AWS_ACCESS_KEY_ID",
            )
        super().__init__(root or _temporary(self.url))
        self._given = root
        self._copies = Store(self.root)
        self._connection = self._connect()

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(None if self._given is None else self._given.absolute(), self.url)

    def _connect(self) -> tuple[Any, str]:
        """The file system and the store's path in it."""
        from fsspec.core import url_to_fs

        scheme = self.url.partition("://")[0]
        try:
            return url_to_fs(self.url, use_listings_cache=False, **_OPTIONS.get(scheme, {}))  # type: ignore[no-any-return]
        except ImportError as error:
            raise ScanproofError(
                f"driver of {scheme}:// must be installed",
                key="--store",
                value=self.url,
                hint=f"pip install '{_DRIVERS.get(scheme, scheme)}'; {error}",
            ) from None
        except ValueError as error:
            raise ScanproofError(
                "store must be a folder or a URL", key="--store", value=self.url, hint=str(error)
            ) from None

    def __contains__(self, key: object) -> bool:
        files, path = self._connection
        with self._reached():
            try:
                files.info(f"{path}/entries/{key}.json")
            except FileNotFoundError:
                return False
        return True

    def present(self, keys: Iterable[str]) -> set[str]:
        """Which of these keys are stored; many are looked up in one listing."""
        asked = set(keys)
        if len(asked) <= _MANY:
            return {key for key in asked if key in self}
        files, path = self._connection
        with self._reached():
            try:
                found = files.find(f"{path}/entries")
            except FileNotFoundError:
                return set()
        return asked.intersection(name.rpartition("/")[2].removesuffix(".json") for name in found)

    def publish(self, keys: Sequence[str]) -> None:
        """Send entries that are whole here and are not there."""
        here = self._copies.present(keys)
        there = self.present(here)
        for key in keys:
            if key in here and key not in there:
                try:
                    self._copies.get(key)
                except DamagedEntryError:
                    continue
                self._send(key)

    def put(self, key: str, payload: Payload, *, task: Mapping[str, object]) -> None:
        """Store a payload here and there; see :meth:`scanproof.study.store.Store.put`.

        Raises:
            ScanproofError: either cannot be written. Where only the other one cannot, the copy here is sent later.
        """
        self._copies.put(key, payload, task=task)
        self._send(key)

    def get(self, key: str) -> Payload:
        """Read a payload, fetching it first if it is not here; see :meth:`scanproof.study.store.Store.get`.

        Raises:
            DamagedEntryError: what is there is damaged or missing. It is removed.
            ScanproofError: the store does not answer.
        """
        if key in self._copies:
            try:
                return self._copies.get(key)
            except DamagedEntryError:
                pass  # the copy was removed; what is there may be whole
        try:
            self._fetch(key)
            return self._copies.get(key)
        except DamagedEntryError as error:
            self.remove(key)
            raise DamagedEntryError(f"{self.url}: {key}", entry=key, found=str(error.value)) from None

    def remove(self, key: str) -> None:
        """Forget an entry, here and there. Its files stay: others may have the same, and storing writes them anew."""
        self._copies.remove(key)
        files, path = self._connection
        with self._reached(), suppress(FileNotFoundError):
            files.rm_file(f"{path}/entries/{key}.json")

    @contextmanager
    def beacon(self) -> Iterator[tuple[Path, ...]]:
        """Nothing: a URL means the same everywhere."""
        yield ()

    def _send(self, key: str) -> None:
        files, path = self._connection
        folder = self._copies.folder(key)
        try:
            entry = (folder / "entry.json").read_bytes()
        except OSError:
            return  # removed by another process meanwhile
        hashes: dict[str, str] = json.loads(entry)["sha256"]
        with self._reached():
            files.put([str(folder / name) for name in hashes], [f"{path}/files/{digest}" for digest in hashes.values()])
            files.pipe_file(f"{path}/entries/{key}.json", entry)

    def _fetch(self, key: str) -> None:
        """Bring an entry here; its hashes are checked when it is read."""
        files, path = self._connection
        partial = self.root / "partial" / f"{key[:16]}-{uuid.uuid4().hex}"
        with self._reached():
            try:
                entry = files.cat_file(f"{path}/entries/{key}.json")
                hashes = json.loads(entry)["sha256"]
                for name, digest in hashes.items():
                    if not _NAME.fullmatch(name) or not _SHA256.fullmatch(digest):
                        raise ValueError(f"{name}: {digest}")
                _make(partial)
                files.get([f"{path}/files/{one}" for one in hashes.values()], [str(partial / name) for name in hashes])
            except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
                shutil.rmtree(partial, ignore_errors=True)
                raise DamagedEntryError(self.url, entry=key, found=str(error)) from None
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        self._copies.take(key, partial, entry)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What a driver raises, in one line; every driver has errors of its own."""
        try:
            yield
        except ScanproofError:
            raise
        except Exception as error:
            said = next(iter(str(error).strip().splitlines()), "")
            raise ScanproofError(
                "store must be there and answer",
                key="--store",
                value=self.url,
                hint=f"{type(error).__name__}: {said[:200]}; finished tasks are kept",
            ) from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ScanproofError(f"store must be writable: {error.strerror or error}", file=folder) from error


def _temporary(url: str) -> Path:
    """Folder of copies on a machine that has no workspace, for its user alone: they may be images of patients."""
    name = f"scanproof-{getpass.getuser()}"
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    base = Path(tempfile.gettempdir()) / name
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        mine = base.owner() == getpass.getuser() and not base.stat().st_mode & 0o077 and not base.is_symlink()
    except (OSError, KeyError) as error:
        raise ScanproofError("folder of copies must be writable", file=base, hint=str(error)) from error
    if not mine:
        raise ScanproofError("folder of copies must be this user's alone", file=base, hint="remove it, or set TMPDIR")
    return base / digest
