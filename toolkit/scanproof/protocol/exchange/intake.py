"""Taking in what sites sent: checked whole before anything is written, one file's fault never another's loss."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.protocol.exchange.archive import (
    ALLOWED,
    MANIFEST,
    REQUIRED,
    Contents,
    listed,
    manifest_bytes,
    unpack,
)
from scanproof.protocol.exchange.places import ProtocolIdentity, slug
from scanproof.protocol.exchange.record import Validation, parse_validation
from scanproof.protocol.exchange.schemas import read_tables


@dataclass(frozen=True, kw_only=True)
class SiteExport:
    """A site's export, checked.

    Args:
        contents: the manifest.
        validation: what was found.
        results: :data:`~scanproof.protocol.exchange.schemas.AGGREGATE_COLUMNS`.
        comparisons: :data:`~scanproof.protocol.exchange.schemas.CONTRAST_COLUMNS`; no rows where nothing was compared.
        files: all files but the manifest, as they came.
    """

    contents: Contents
    validation: Validation
    results: pd.DataFrame
    comparisons: pd.DataFrame
    files: dict[str, bytes]

    @property
    def site(self) -> str:
        """Name of the site."""
        return self.validation.site


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of one file.

    Args:
        file: that was given.
        state: ``"imported"``, ``"replaced"``, ``"known"`` (nothing was written) or ``"refused"``.
        export: what it holds; None where it was refused.
        folder: where it lies now.
        error: why it was refused.
    """

    file: Path
    state: Literal["imported", "replaced", "known", "refused"]
    export: SiteExport | None = None
    folder: Path | None = None
    error: ScanproofError | None = None


def read_export(path: Path) -> SiteExport:
    """Read and check an export; nothing is written.

    Raises:
        ScanproofError: see :func:`~scanproof.protocol.exchange.archive.unpack`; a validation or table that breaks its
            rules, or that is about another site or protocol than the manifest says.
    """
    contents, files = unpack(path)
    return _assembled(contents, files, file=path)


def _assembled(contents: Contents, files: dict[str, bytes], *, file: Path) -> SiteExport:
    validation = parse_validation(files["validation.json"], file=f"{file}: validation.json")
    for key in ("protocol", "protocol_sha256", "site"):
        if getattr(validation, key) != getattr(contents, key):
            rule = "validation must be about what the manifest says"
            raise ScanproofError(rule, file=file, key=key, value=getattr(validation, key))
    single = {"scores.parquet", "quality.parquet"} & set(files)
    if single and not contents.per_case:
        raise ScanproofError("export must say that it holds single cases", file=file, key=sorted(single)[0])
    tables = read_tables(files, file=file)
    for name, table in tables.items():
        others = set(table["site"]) - {contents.site} if "site" in table else set()
        if others:
            raise ScanproofError("table must be about the site alone", file=file, key=name, value=sorted(others)[:5])
    _check_small_cells(contents, validation, tables, file=file)
    return SiteExport(
        contents=contents,
        validation=validation,
        results=tables["results.parquet"],
        comparisons=tables.get("comparisons.parquet", pd.DataFrame()),
        files=files,
    )


def _check_small_cells(
    contents: Contents, validation: Validation, tables: dict[str, pd.DataFrame], *, file: Path
) -> None:
    """A site that sent small counts all the same is asked for another file, rather than have them spread."""
    data, least = validation.data, contents.small_cell
    counts: dict[str, int | None] = {"subjects": data.subjects, "cases": data.cases}
    for name, labels in data.labels.items():
        counts |= {f"labels.{name}.positive": labels.positive, f"labels.{name}.negative": labels.negative}
    for one in validation.endpoints:
        counts |= {f"endpoints.{one.name}.subjects": one.subjects, f"endpoints.{one.name}.cases": one.cases}
    for name, columns in (("results.parquet", ("n",)), ("comparisons.parquet", ("subjects", "cases"))):
        for column in columns:
            if name in tables and len(tables[name]):
                counts[f"{name}.{column}"] = int(tables[name][column].min())
    for key, count in counts.items():
        if count is not None and count < least:
            raise ScanproofError(f"counts must be withheld below {least}", file=file, key=key)


def import_exports(
    paths: Sequence[Path],
    *,
    root: Path,
    protocol: ProtocolIdentity | None = None,
    replace: bool = False,
    on_taken: Callable[[Taken], None] = lambda taken: None,
) -> list[Taken]:
    """Take in exports, each whole or not at all.

    Args:
        paths: files.
        root: folder of the outputs; exports go to ``imports/PROTOCOL/SITE-HASH`` in it.
        protocol: that they must follow; without it, they must agree with what was imported before under their name.
        replace: let a site's new results take the place of its old ones.
        on_taken: told of each file when it is done.

    Returns:
        What became of each file, in their order; a file that is refused leaves the others as they are.
    """
    done = []
    for path in paths:
        try:
            taken = _take(path, root=root, protocol=protocol, replace=replace)
        except ScanproofError as error:
            taken = Taken(file=path, state="refused", error=error)
        on_taken(taken)
        done.append(taken)
    return done


def _take(path: Path, *, root: Path, protocol: ProtocolIdentity | None, replace: bool) -> Taken:
    export = read_export(path)
    contents = export.contents
    place = root / "imports" / contents.protocol
    _check_protocol(export, protocol, place=place, file=path)
    folder = place / f"{slug(export.site)}-{contents.digest[:8]}"
    state: Literal["imported", "replaced"] = "imported"
    old: list[Path] = []
    for other, site, digest in _known(place):
        if site != export.site:
            continue
        if digest == contents.digest:
            return Taken(file=path, state="known", export=export, folder=other)
        if not replace:
            raise ScanproofError(
                "site must be imported once, and its results have changed",
                file=path,
                key="site",
                value=export.site,
                hint=f"--replace puts this file in the place of {other.name}",
            )
        old.append(other)
        state = "replaced"
    _store(folder, export)
    for other in old:
        shutil.rmtree(other)
    return Taken(file=path, state=state, export=export, folder=folder)


def _check_protocol(export: SiteExport, protocol: ProtocolIdentity | None, *, place: Path, file: Path) -> None:
    found = export.contents
    if protocol is not None:
        if found.protocol != protocol.name:
            raise ScanproofError(
                f"export must follow the protocol {protocol.name}", file=file, key="protocol", value=found.protocol
            )
        known, whose = protocol.sha256, "the protocol"
        if found.small_cell < protocol.small_cell:
            rule = f"small counts must be withheld below {protocol.small_cell}"
            raise ScanproofError(rule, file=file, key="small_cell", value=found.small_cell)
    else:
        others = [export for _, export in stored_exports(place)]
        if not others:
            return
        known, whose = others[0].contents.protocol_sha256, f"what {others[0].site} followed"
    if found.protocol_sha256 != known:
        raise ScanproofError(
            f"export must follow {whose} (sha256 {known[:12]}…), unchanged",
            file=file,
            key="protocol_sha256",
            value=found.protocol_sha256,
        )


def _store(folder: Path, export: SiteExport) -> None:
    """Write an export under its final name only when it is complete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".partial-{uuid.uuid4().hex}")
        partial.mkdir()
        try:
            for name, data in {**export.files, MANIFEST: manifest_bytes(export.contents)}.items():
                (partial / name).write_bytes(data)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise ScanproofError(f"imports must be writable: {error.strerror or error}", file=folder) from error


def _known(place: Path) -> Iterator[tuple[Path, str, str]]:
    for folder, export in stored_exports(place):
        yield folder, export.site, export.contents.digest


def stored_exports(place: Path) -> list[tuple[Path, SiteExport]]:
    """The imports in a protocol's folder, by name of the site, checked as they were when they came.

    Raises:
        ScanproofError: one that was changed since.
    """
    found = []
    for path in sorted(place.glob(f"*/{MANIFEST}")):
        if path.parent.name.startswith("."):
            continue  # what a killed process left
        try:
            contents = Contents.model_validate_json(path.read_bytes())
            if not set(REQUIRED) <= set(contents.files) <= set(ALLOWED):
                raise ValueError(f"its manifest must list {', '.join(REQUIRED)}, and no file but {', '.join(ALLOWED)}")
            files = {name: (path.parent / name).read_bytes() for name in contents.files}
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ScanproofError(f"import must be readable: {reason}", file=path.parent, hint="import again") from None
        for name, data in files.items():
            if listed(data) != contents.files[name]:
                rule = "import must be as it came"
                raise ScanproofError(rule, file=path.parent / name, hint="remove its folder and import again")
        found.append((path.parent, _assembled(contents, files, file=path.parent)))
    return sorted(found, key=lambda one: one[1].site)


def imported_sites(root: Path, protocol: str) -> list[SiteExport]:
    """What the sites of a protocol sent, by name of the site.

    Raises:
        ScanproofError: none was imported; one that was changed since.
    """
    place = root / "imports"
    known = sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
    if not known:
        raise ScanproofError("there must be imports", file=place, hint="import first: scanproof import FILE.zip")
    if protocol not in known:
        raise unknown_name("protocol", protocol, known, key="protocol")
    found = [export for _, export in stored_exports(place / protocol)]
    if not found:
        raise ScanproofError("there must be imports of this protocol", file=place / protocol)
    return found
