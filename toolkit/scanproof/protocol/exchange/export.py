"""What a site sends: numbers about the site as a whole, and a plain word on what is in the file and what is not."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

import scanproof
from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import FloatArray
from scanproof.evaluation.comparisons import COMPARISON_COLUMNS
from scanproof.evaluation.table import (
    ALL_SITES,
    PREDICTION_COLUMNS,
    RESULT_COLUMNS,
    check_table,
    conform,
    predictions_schema,
    results_schema,
)
from scanproof.protocol.exchange import small_cells
from scanproof.protocol.exchange.archive import Contents, Intervals, listed, pack
from scanproof.protocol.exchange.places import ProtocolIdentity, find_validation, read_identity
from scanproof.protocol.exchange.readme import readme
from scanproof.protocol.exchange.record import Validation
from scanproof.protocol.exchange.schemas import (
    AGGREGATE_COLUMNS,
    CONTRAST_COLUMNS,
    QUALITY_COLUMNS,
    SCORE_COLUMNS,
    to_parquet,
)
from scanproof.protocol.exchange.small_cells import Cells
from scanproof.study.store import write_atomically
from scanproof.yaml_file import read_yaml_file

#: metrics of the mean of sites that a single site has as well
_OF_CHAINS = ("auroc_gap_to_best",)
_COLUMNS = {"results": RESULT_COLUMNS, "predictions": PREDICTION_COLUMNS, "comparisons": COMPARISON_COLUMNS}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What would leave.

    Args:
        contents: the manifest.
        files: every other file.
        data: the zip.
    """

    contents: Contents
    files: dict[str, bytes]
    data: bytes

    @property
    def sha256(self) -> str:
        """Hash of the zip, by which both ends may know that it is the same."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, kw_only=True)
class _Tables:
    results: pd.DataFrame
    predictions: pd.DataFrame
    comparisons: pd.DataFrame


def prepare_export(
    root: Path, *, site: str, protocol: str | None = None, small_cell: int | None = None, per_case: bool = False
) -> Prepared:
    """Gather what a site may send; nothing is written.

    Rows about subjects and cases, single trainings and means of sites are left out, then what tells of too few people
    (:mod:`~scanproof.protocol.exchange.small_cells`). The report stays at the site: it holds counts and pseudonyms.

    Standard errors are half the length of an interval over the quantile of the normal distribution, or, of expanded
    intervals, of Student's t on the number of subjects less one. Where trainings were drawn anew the true degrees of
    freedom are fewer, so that the standard error is larger than it need be, never smaller.

    Args:
        root: folder of the outputs.
        site: name of the site.
        protocol: name of the protocol, to be given where the site followed several, or its file, which states the
            threshold.
        small_cell: threshold, not below that of the protocol.
        per_case: add the readings and the image quality of single cases, under pseudonyms that were never used
            before, in an order of chance.

    Raises:
        ScanproofError: no validation; files that do not have the hashes that it lists; tables of another site; a lower
            threshold; single cases where a count is below the threshold.
    """
    stated = read_identity(Path(protocol)) if protocol is not None and Path(protocol).is_file() else None
    folder, validation = find_validation(root, site=site, protocol=protocol if stated is None else stated.name)
    if stated is not None and stated.sha256 != validation.protocol_sha256:
        raise ScanproofError(
            "validation must be of this protocol", file=folder, key="protocol_sha256", value=validation.protocol_sha256
        )
    tables, definition = _read(folder, validation), _lock(folder).get("definition")
    threshold = small_cells.check_threshold(small_cell, _stated(stated, validation))
    cells = small_cells.count_cells(tables.results, tables.predictions, known=validation.data)
    intervals = _intervals(definition, file=folder / "study.lock.yaml")
    rows = _about_site(tables.results, site)
    kept = small_cells.suppress_results(rows, cells, threshold)
    contrasts = _contrasts(tables.comparisons, site)
    shown = small_cells.suppress_comparisons(contrasts, cells, threshold)
    freedom = max(cells.subjects - 1, 1)
    files = {
        "results.parquet": to_parquet(_with_errors(kept, intervals, freedom, AGGREGATE_COLUMNS)),
        "comparisons.parquet": to_parquet(_with_errors(shown, intervals, freedom, CONTRAST_COLUMNS)),
    }
    if contrasts.empty:
        del files["comparisons.parquet"]
    public = _public(validation, cells, threshold, intervals, rows=rows, kept=kept)
    files["validation.json"] = (public.model_dump_json(indent=1) + "\n").encode()
    if per_case:
        files |= _cases(tables, cells, threshold)
    facts = {
        "protocol": validation.protocol,
        "protocol_sha256": validation.protocol_sha256,
        "site": site,
        "scanproof": scanproof.__version__,
        "small_cell": threshold,
        "per_case": per_case,
        "withheld_rows": len(rows) - len(kept) + len(contrasts) - len(shown),
    }
    files["README.txt"] = readme(public, facts, files).encode()
    contents = Contents(
        format="scanproof-export",
        version=1,
        intervals=intervals,
        files={name: listed(data) for name, data in sorted(files.items())},
        **facts,
    )
    return Prepared(contents=contents, files=files, data=pack(contents, files))


def _stated(protocol: ProtocolIdentity | None, validation: Validation) -> int:
    if protocol is not None:
        return protocol.small_cell
    return small_cells.USUAL if validation.small_cell is None else validation.small_cell


def write_export(prepared: Prepared, output: Path) -> Path:
    """Write the zip, whole or not at all.

    Raises:
        ScanproofError: a file that does not end in ``.zip`` or cannot be written.
    """
    if output.suffix.lower() != ".zip":
        raise ScanproofError("export must be a .zip file", key="output", value=str(output))
    write_atomically(output, prepared.data)
    return output


def standard_errors(lower: FloatArray, upper: FloatArray, *, freedom: int | None, confidence: float) -> FloatArray:
    """Standard errors from the lengths of intervals.

    Args:
        lower: ends.
        upper: ends.
        freedom: degrees of freedom of Student's t; ``None`` for the normal distribution.
        confidence: of the intervals.

    Example:
        >>> standard_errors(np.array([0.7]), np.array([0.9]), freedom=None, confidence=0.95).round(3)
        array([0.051])
    """
    from scipy import stats

    tail = (1 - confidence) / 2
    quantile = stats.norm.isf(tail) if freedom is None else stats.t.isf(tail, freedom)
    return np.asarray((upper - lower) / (2 * float(quantile)), np.float64)


def _read(folder: Path, validation: Validation) -> _Tables:
    """The tables of a validation, as they were when it was decided."""
    found = {}
    for name in _COLUMNS:
        path = folder / f"{name}.parquet"
        if not path.is_file():
            continue
        try:
            data = path.read_bytes()
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise ScanproofError(f"table must be readable: {str(error).splitlines()[0]}", file=path) from None
        expected = validation.files.get(path.name)
        if expected is not None and hashlib.sha256(data).hexdigest() != expected:
            raise ScanproofError(
                "table must be as it was validated", file=path, hint="validate again; finished work is kept"
            )
        found[name] = table
    if "results" not in found and validation.verdict != "not enough data":
        raise ScanproofError("validation must have its results", file=folder / "results.parquet")
    parts = {
        name: conform(found.get(name, pd.DataFrame()), columns, name=f"{name}.parquet")
        for name, columns in _COLUMNS.items()
    }
    results = check_table(parts["results"], results_schema(), name="results.parquet")
    predictions = check_table(parts["predictions"], predictions_schema(), name="predictions.parquet")
    sites = sorted({*results["site"], *predictions["site"]} - {ALL_SITES})
    if sites not in ([], [validation.site]):
        rule = "tables must be about the validated site alone"
        raise ScanproofError(rule, file=folder, key="site", value=sites, hint=f"expected {validation.site}")
    read = results["classifier"].notna() & (results["metric"].isin({*small_cells.SIDES, "auroc"}))
    if read.any() and predictions.empty:
        raise ScanproofError("validation must have its predictions, to count people", file=folder)
    return _Tables(results=results, predictions=predictions, comparisons=parts["comparisons"])


def _lock(folder: Path) -> dict[str, object]:
    path = folder / "study.lock.yaml"
    if not path.is_file() and not (folder / "results.parquet").is_file():
        return {}  # nothing was computed
    content = read_yaml_file(path, what="lock file")
    return content if isinstance(content, dict) else {}


def _intervals(definition: object, *, file: Path) -> Intervals:
    from scanproof.study.definition import EvaluationPlan

    plan = definition.get("evaluation") if isinstance(definition, dict) else None
    try:
        found = EvaluationPlan.model_validate(plan or {})
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise ScanproofError(f"evaluation must be readable: {reason}", file=file, key="definition.evaluation") from None
    return Intervals(kind=found.interval, confidence=found.confidence, resamples=found.resamples)


def _about_site(results: pd.DataFrame, site: str) -> pd.DataFrame:
    """Rows about the whole site, as means over trainings."""
    whole = results[results["subject"].isna() & results["case"].isna()]
    own = whole[(whole["site"] == site) & (whole["seed"].isna())]
    # the mean of one site is the site; what is compared over the sites is found there alone
    others = whole[(whole["site"] == ALL_SITES) & whole["metric"].isin(_OF_CHAINS)].assign(site=site)
    return pd.concat([own, others], ignore_index=True) if len(others) else own.reset_index(drop=True)


def _contrasts(comparisons: pd.DataFrame, site: str) -> pd.DataFrame:
    """Comparisons at the site; those of the mean over one site are the same, with all of their p-values."""
    if comparisons.empty:
        return comparisons
    whole = comparisons[comparisons["site"] == ALL_SITES].assign(site=site)
    return whole if len(whole) else comparisons[comparisons["site"] == site]


def _with_errors(rows: pd.DataFrame, intervals: Intervals, freedom: int, columns: dict[str, str]) -> pd.DataFrame:
    ends = (rows["lower"].to_numpy(float), rows["upper"].to_numpy(float))
    degrees = freedom if intervals.kind == "expanded" else None
    errors = standard_errors(*ends, freedom=degrees, confidence=intervals.confidence)
    kept = rows[[name for name in columns if name in rows]]
    return conform(kept.assign(standard_error=errors), columns)


def _public(
    validation: Validation,
    cells: Cells,
    threshold: int,
    intervals: Intervals,
    *,
    rows: pd.DataFrame,
    kept: pd.DataFrame,
) -> Validation:
    """What the validation says, with standard errors and without small counts."""
    endpoints = []
    for one in validation.endpoints:
        if one.lower is not None and one.upper is not None and one.estimate is not None:
            degrees = max((one.subjects or cells.subjects) - 1, 1) if intervals.kind == "expanded" else None
            ends = np.array([one.lower]), np.array([one.upper])
            [error] = standard_errors(*ends, freedom=degrees, confidence=one.confidence or intervals.confidence)
            one = one.model_copy(update={"standard_error": float(error)})
        endpoints.append(small_cells.suppress_endpoint(one, cells, threshold, results=rows, kept=kept))
    facts = small_cells.suppress_facts(validation.data, cells, threshold)
    return validation.model_copy(update={"data": facts, "endpoints": endpoints})


def _cases(tables: _Tables, cells: Cells, threshold: int) -> dict[str, bytes]:
    """Readings and image quality of single cases, unlinked from every other list of them."""
    if cells.subjects < threshold or small_cells.withheld_targets(cells, threshold):
        rule = f"single cases must be of groups of at least {threshold} people"
        raise ScanproofError(rule, key="per-case", hint="export without them")
    salt, order = secrets.token_bytes(32), np.random.default_rng(secrets.randbits(128))

    def unlinked(table: pd.DataFrame, columns: dict[str, str]) -> bytes:
        hashed = table[list(columns)].copy()
        for key in ("subject", "case"):
            names = {name: _anew(f"{key} {name}", salt) for name in hashed[key].unique()}
            hashed[key] = hashed[key].map(names)
        shuffled = hashed.iloc[order.permutation(len(hashed))].reset_index(drop=True)
        return to_parquet(shuffled.astype(columns))

    files = {}
    tested = tables.predictions[tables.predictions["split"] == "test"]
    if len(tested):
        files["scores.parquet"] = unlinked(tested, SCORE_COLUMNS)
    quality = tables.results[tables.results["case"].notna()]
    if len(quality):
        files["quality.parquet"] = unlinked(quality, QUALITY_COLUMNS)
    return files


def _anew(name: str, salt: bytes) -> str:
    return "p" + hashlib.blake2b(name.encode(), key=salt, digest_size=8).hexdigest()
