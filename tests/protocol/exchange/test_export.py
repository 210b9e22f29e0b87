from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scanproof.errors import ScanproofError
from scanproof.protocol.exchange.export import Prepared, prepare_export, standard_errors, write_export
from scanproof.protocol.exchange.intake import read_export

SITE = "St. Elsewhere"


def table(prepared: Prepared, name: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(prepared.files[name]))


def test_only_numbers_about_the_whole_site_leave(site_root: Path) -> None:
    prepared = prepare_export(site_root, site=SITE)
    assert set(prepared.files) == {"README.txt", "results.parquet", "comparisons.parquet", "validation.json"}
    results = table(prepared, "results.parquet")
    assert {"subject", "case", "seed"}.isdisjoint(results.columns)
    assert set(results["site"]) == {SITE}
    assert {"auroc", "auroc_shifted", "ssim", "auroc_gap_to_best"} <= set(results["metric"])
    assert results["standard_error"].gt(0).any()
    folder = next((site_root / "validations").glob("*/*"))
    names = pd.read_parquet(folder / "predictions.parquet")[["subject", "case"]].to_numpy().ravel()
    with zipfile.ZipFile(io.BytesIO(prepared.data)) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert not [name for name in set(names) if name.encode() in everything]
    assert b"something_new" not in everything
    record = json.loads(prepared.files["validation.json"])
    assert record["endpoints"][0]["standard_error"] > 0
    assert record["data"]["labels"] == {"lesion": {"positive": 40, "negative": 40}}


def test_same_validation_gives_the_same_file(site_root: Path, tmp_path: Path) -> None:
    one, other = prepare_export(site_root, site=SITE), prepare_export(site_root, site=SITE)
    assert one.data == other.data
    path = write_export(one, tmp_path / "a.zip")
    found = read_export(path)
    assert found.contents == one.contents
    assert zipfile.ZipFile(path).testzip() is None
    assert {entry.date_time for entry in zipfile.ZipFile(path).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_readme_says_what_is_in_the_file(site_root: Path) -> None:
    prepared = prepare_export(site_root, site=SITE)
    text = prepared.files["README.txt"].decode()
    for name in [*prepared.files, "manifest.json"]:
        assert name in text
    assert "fewer than 5 people" in text
    assert "SINGLE CASES" not in text
    assert "SINGLE CASES" in prepare_export(site_root, site=SITE, per_case=True).files["README.txt"].decode()


def test_single_cases_are_unlinked(site_root: Path) -> None:
    one, other = (prepare_export(site_root, site=SITE, per_case=True) for _ in range(2))
    folder = next((site_root / "validations").glob("*/*"))
    source = pd.read_parquet(folder / "predictions.parquet")
    source = source[source["split"] == "test"]
    scores, again = table(one, "scores.parquet"), table(other, "scores.parquet")
    assert set(scores["subject"]).isdisjoint({*source["subject"], *again["subject"]})
    assert scores["subject"].str.fullmatch("p[0-9a-f]{16}").all()
    assert {"site", "split", "study"}.isdisjoint(scores.columns)
    assert sorted(scores["probability"]) == sorted(source["probability"])
    assert scores["probability"].tolist() != source["probability"].tolist()
    assert scores.groupby("subject")["case"].nunique().eq(2).all()
    quality = table(one, "quality.parquet")
    assert set(quality["case"]) == set(scores["case"])
    assert one.contents.per_case


def test_standard_errors_are_those_of_the_intervals() -> None:
    """Of a normal sampling distribution, an interval gives back the error that made it."""
    error, value = np.array([0.02, 0.05]), np.array([0.8, 0.7])
    for freedom, quantile in ((None, stats.norm.ppf(0.975)), (39, stats.t.ppf(0.975, 39))):
        found = standard_errors(value - quantile * error, value + quantile * error, freedom=freedom, confidence=0.95)
        np.testing.assert_allclose(found, error)


def test_standard_errors_are_near_those_of_readings_drawn_anew(site_root: Path) -> None:
    """The clean AUROC of two trainings, by the jackknife of subjects."""
    from sklearn.metrics import roc_auc_score

    folder = next((site_root / "validations").glob("*/*"))
    rows = pd.read_parquet(folder / "predictions.parquet").query(
        "split == 'test' and shift == 'none' and norm == 'group'"
    )
    results = table(prepare_export(site_root, site=SITE), "results.parquet")
    found = results.query("metric == 'auroc' and shift == 'none' and norm == 'group'").iloc[0]

    def auroc(cases: pd.DataFrame) -> float:
        return float(np.mean([roc_auc_score(g["label"], g["probability"]) for _, g in cases.groupby("seed")]))

    assert found["value"] == pytest.approx(auroc(rows))
    names = rows["subject"].unique()
    left = np.array([auroc(rows[rows["subject"] != name]) for name in names])
    jackknife = np.sqrt((len(names) - 1) / len(names) * ((left - left.mean()) ** 2).sum())
    assert jackknife * 0.8 < found["standard_error"] < jackknife * 2.5


def test_threshold_may_only_be_raised(site_root: Path) -> None:
    assert prepare_export(site_root, site=SITE, small_cell=10).contents.small_cell == 10
    with pytest.raises(ScanproofError, match="threshold must be at least 5, got 2"):
        prepare_export(site_root, site=SITE, small_cell=2)


def test_few_positive_subjects_are_not_told(make_site: Callable[..., Path], tmp_path: Path) -> None:
    make_site(tmp_path, positives=0.1)  # four subjects, eight slices
    with pytest.raises(ScanproofError, match="single cases must be of groups of at least 5 people"):
        prepare_export(tmp_path, site=SITE, per_case=True)
    prepared = prepare_export(tmp_path, site=SITE)
    record = json.loads(prepared.files["validation.json"])
    assert record["data"]["labels"] == {"lesion": {"positive": None, "negative": None}}
    assert record["data"]["subjects"] == 40
    [primary] = record["endpoints"]
    assert primary["estimate"] is primary["lower"] is primary["upper"] is primary["standard_error"] is None
    assert "starts at" not in primary["decided_by"]
    results = table(prepared, "results.parquet")
    assert results["classifier"].isna().all()
    assert set(results["metric"]) == {"ssim"}
    assert table(prepared, "comparisons.parquet").empty
    assert prepared.contents.withheld_rows > 0


def test_a_site_with_too_few_cases_to_start_sends_its_verdict(make_site: Callable[..., Path], tmp_path: Path) -> None:
    """Nothing was computed, so there is a record and nothing else; some of its counts are small."""
    folder = make_site(tmp_path)
    for name in ("results.parquet", "comparisons.parquet", "predictions.parquet", "study.lock.yaml"):
        (folder / name).unlink()
    record = json.loads((folder / "validation.json").read_text())
    record["data"] |= {"subjects": 12, "cases": 24, "labels": {"lesion": {"positive": 3, "negative": 9}}}
    nothing = dict.fromkeys(("estimate", "lower", "upper", "confidence", "subjects", "cases"))
    said = {"verdict": "not enough data", "decided_by": "3 positive subjects of at least 20"}
    record |= {"verdict": "not enough data", "endpoints": [record["endpoints"][0] | nothing | said], "files": {}}
    (folder / "validation.json").write_text(json.dumps(record))
    prepared = prepare_export(tmp_path, site=SITE)
    assert table(prepared, "results.parquet").empty
    public = json.loads(prepared.files["validation.json"])
    assert public["data"]["labels"] == {"lesion": {"positive": None, "negative": None}}
    assert public["data"]["subjects"] == 12
    assert "3 positive" not in public["endpoints"][0]["decided_by"]
    assert read_export(write_export(prepared, tmp_path / "a.zip")).validation.verdict == "not enough data"


def test_threshold_of_the_record_is_used(make_site: Callable[..., Path], tmp_path: Path) -> None:
    make_site(tmp_path, small_cell=9)
    assert prepare_export(tmp_path, site=SITE).contents.small_cell == 9


def test_tables_changed_since_are_refused(make_site: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_site(tmp_path)
    path = folder / "results.parquet"
    changed = pd.read_parquet(path)
    changed.loc[0, "value"] = 0.99
    changed.to_parquet(path, index=False)
    with pytest.raises(ScanproofError, match=r"results\.parquet: table must be as it was validated"):
        prepare_export(tmp_path, site=SITE)


def test_unknown_sites_and_protocols_are_named(site_root: Path, tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match=r"did you mean 'St\. Elsewhere'"):
        prepare_export(site_root, site="St Elsewhere")
    with pytest.raises(ScanproofError, match="unknown protocol, got 'p2'"):
        prepare_export(site_root, site=SITE, protocol="p2")
    with pytest.raises(ScanproofError, match="there must be a validation"):
        prepare_export(tmp_path, site=SITE)
    with pytest.raises(ScanproofError, match=r"export must be a \.zip file"):
        write_export(prepare_export(site_root, site=SITE), tmp_path / "a.tar")


def test_protocol_file_states_the_threshold(site_root: Path, tmp_path: Path) -> None:
    record = json.loads(next((site_root / "validations").glob("*/*/validation.json")).read_text())
    path = tmp_path / "p1.yaml"
    path.write_text(f"name: p1\nprotocol_sha256: {record['protocol_sha256']}\nsmall_cell: 8\n")
    assert prepare_export(site_root, site=SITE, protocol=str(path)).contents.small_cell == 8
    path.write_text(f"name: p1\nprotocol_sha256: {'a' * 64}\nsmall_cell: 8\n")
    with pytest.raises(ScanproofError, match="validation must be of this protocol"):
        prepare_export(site_root, site=SITE, protocol=str(path))
