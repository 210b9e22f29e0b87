"""Where the files of a manifest lie: many at once, however their names' accents are written."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from scanproof.errors import ScanproofError

#: a folder, and the number of a series in it
_SERIES = re.compile(r"(.+)#(\d+)")


def check_name(path: Path | str) -> None:
    """Check that the name of a file or folder is text, which can stand in tables and on pages.

    Raises:
        ScanproofError: it has bytes that are no UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise ScanproofError("names of files and folders must be UTF-8", file=shown, hint="rename it") from None


class PathFinder:
    """Finds files and folders below a root; each folder is listed once, so that a million files take seconds.

    ``FOLDER#NUMBER`` is a series of a folder with several; it is found where the folder is.

    Names that are not there as written are looked for in the other form of Unicode: a Mac writes an accented letter as
    two characters, a manifest as one.

    Args:
        root: folder to which relative paths are relative.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._folders: dict[str, str | None] = {}
        self._listings: dict[str, dict[str, bool]] = {}
        self._plain: dict[str, dict[str, str]] = {}
        self._seen: dict[str, tuple[str, dict[str, bool]]] = {}

    def find(self, text: str) -> str | None:
        """The absolute path without links, or None where no file or folder is there."""
        head, _, name = text.rpartition("/")
        if head in self._seen:  # nearly all of a large manifest
            folder, listing = self._seen[head]
            if listing.get(name) is False:
                return f"{folder}{os.sep}{name}"
        try:
            found = self._find(os.path.join(self._root, text))  # noqa: PTH118 - a Path takes ten times as long
            series = _SERIES.fullmatch(text)
            if found is None and series:  # one of several series in a folder
                whole = self._find(os.path.join(self._root, series[1]))  # noqa: PTH118
                found = f"{whole}#{series[2]}" if whole and os.path.isdir(whole) else None  # noqa: PTH112
            near = self._folders.get(os.path.join(self._root, head))  # noqa: PTH118
            if near:
                self._seen[head] = (near, self._listing(near))
        except (OSError, ValueError):
            return None
        return found

    def _find(self, full: str) -> str | None:
        head, name = os.path.split(full)
        if name in ("", ".", ".."):
            return self._folder(full)
        folder = self._folder(head)
        if folder is None:
            return None
        listing = self._listing(folder)
        if name not in listing:
            name = self._named(folder, name)
        if not name:
            # a file system may not care about capitals
            return os.path.realpath(full) if os.path.isfile(full) or os.path.isdir(full) else None  # noqa: PTH112, PTH113
        found = os.path.join(folder, name)  # noqa: PTH118
        return os.path.realpath(found) if listing[name] else found

    def _folder(self, path: str) -> str | None:
        if path not in self._folders:
            self._folders[path] = None
            if os.path.isdir(path):  # noqa: PTH112
                self._folders[path] = os.path.realpath(path)
            elif os.path.dirname(path) != path:  # noqa: PTH120
                found = self._find(path)
                self._folders[path] = found if found and os.path.isdir(found) else None  # noqa: PTH112
        return self._folders[path]

    def _listing(self, folder: str) -> dict[str, bool]:
        """Names of files and folders in a folder, and whether each is a link."""
        if folder not in self._listings:
            with os.scandir(folder) as entries:
                self._listings[folder] = {
                    entry.name: entry.is_symlink() for entry in entries if entry.is_file() or entry.is_dir()
                }
        return self._listings[folder]

    def _named(self, folder: str, name: str) -> str:
        """The one name in a folder that differs in the form of Unicode alone; empty where none does, or several."""
        if folder not in self._plain:
            plain: dict[str, str] = {}
            for entry in self._listing(folder):
                key = unicodedata.normalize("NFC", entry)
                plain[key] = "" if key in plain else entry
            self._plain[folder] = plain
        return self._plain[folder].get(unicodedata.normalize("NFC", name), "")
