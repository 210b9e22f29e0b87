"""A protocol at a site: verdict, what is refused by name, and what is kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from scanproof.errors import ScanproofError
from scanproof.protocol import check as checks
from scanproof.protocol.definition import FrozenCode, protocol_hash
from scanproof.protocol.file import read_protocol
from scanproof.protocol.freeze import Frozen
from scanproof.protocol.record import ValidationRecord
from scanproof.protocol.site import check_site, site_slug
from scanproof.protocol.validate import Site, Validation, validate
from scanproof.study.plan import Task

Run = Callable[..., Validation]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's folder; its key is given, because noise and masks are drawn for pseudonyms."""
    root = tmp_path_factory.mktemp("root")
    (root / "site.key").write_text("07" * 32)
    return root


@pytest.fixture(scope="module")
def run(frozen: Frozen, site: Path, root: Path) -> Run:
    def run(file: Path = frozen.file, *, data: Path = site, name: str = "St. Elsewhere", **more: object) -> Validation:
        settings: dict[str, object] = {"root": root, "workers": 1, "tracking_uri": None, "command": "validate", **more}
        return validate(file, Site(name, data), **settings)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="module")
def validation(run: Run) -> Validation:
    return run()


@pytest.fixture
def copy(frozen: Frozen, tmp_path: Path) -> Path:
    """The protocol with its models, to be tampered with."""
    shutil.copytree(frozen.file.parent, tmp_path / "protocols")
    return tmp_path / "protocols" / frozen.file.name


def edit(file: Path, *, seal: bool = False, **changes: object) -> None:
    """Change a protocol; a sealed change has a hash that is true."""
    content = {**yaml.safe_load(file.read_text()), **changes}
    if seal:
        content["protocol_sha256"] = protocol_hash(content)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_site_gets_a_verdict(validation: Validation, frozen: Frozen, root: Path) -> None:
    folder = root / "validations" / "small-protocol" / "st-elsewhere"
    assert validation.folder == folder
    record = ValidationRecord.model_validate_json((folder / "validation.json").read_text())
    assert record == validation.record
    assert (record.verdict, record.site, record.other_code) == ("pass", "St. Elsewhere", False)
    assert record.protocol_sha256 == frozen.protocol.protocol_sha256
    assert (record.data.subjects, record.data.cases, record.data.kind) == (10, 20, "volumes")
    assert set(record.data.labels) == {"lesion"}
    assert [one.verdict for one in record.endpoints][:2] == ["pass", "fail"]
    assert record.endpoints[0].decided_by.startswith("the 95 % interval")
    for name, digest in record.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {"results.parquet", "comparisons.parquet", "predictions.parquet", "report.html"} <= set(record.files)


def test_endpoints_are_those_of_the_tables(validation: Validation) -> None:
    results = pd.read_parquet(validation.folder / "results.parquet")
    rows = results[(results["site"] == "St. Elsewhere") & (results["metric"] == "ssim") & results["case"].isna()]
    [row] = rows[(rows["shift"] == "none") & (rows["reconstruction"] == "unet")].to_dict("records")
    primary = validation.record.endpoints[0]
    assert (primary.estimate, primary.lower, primary.upper) == pytest.approx((row["value"], row["lower"], row["upper"]))
    assert set(results["site"]) == {"St. Elsewhere", "all"}


def test_the_verdict_stands_on_top_of_the_report(validation: Validation) -> None:
    page = (validation.folder / "report.html").read_text()
    assert page.index('id="verdict"') < page.index('id="finding"')
    assert "A small protocol at St. Elsewhere" in page
    assert "whole interval at or above 0.01" in page
    lock = yaml.safe_load((validation.folder / "study.lock.yaml").read_text())
    assert lock["protocol"]["sha256"] == validation.protocol.protocol_sha256


def test_nothing_names_the_site_s_files(validation: Validation, site: Path) -> None:
    for path in validation.folder.rglob("*"):
        if path.suffix in (".json", ".html", ".yaml"):
            text = path.read_text(encoding="utf-8")
            assert str(site) not in text
            assert "south-test-0" not in text


def test_the_same_validation_again_computes_nothing(validation: Validation, run: Run) -> None:
    started: list[Task] = []
    again = run(on_start=started.extend)
    assert started == []
    assert again.record.endpoints == validation.record.endpoints
    assert again.record.files["results.parquet"] == validation.record.files["results.parquet"]


def test_a_validation_that_was_killed_goes_on(run: Run, tmp_path: Path) -> None:
    done: list[Task] = []

    def stop(task: Task) -> None:
        done.append(task)
        if len(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(root=tmp_path, on_done=stop)
    assert not (tmp_path / "validations").exists()
    started: list[Task] = []
    finished = run(root=tmp_path, on_start=started.extend)
    assert {task.key for task in done}.isdisjoint(task.key for task in started)
    assert finished.record.verdict == "pass"


def test_too_few_subjects_are_said_before_anything_is_computed(copy: Path, run: Run, tmp_path: Path) -> None:
    minimum = {"subjects": 11, "cases": 12, "positives": 40, "how": "agreed"}
    edit(copy, minimum=minimum, seal=True)
    started: list[Task] = []
    found = run(copy, root=tmp_path / "root", on_start=started.extend)
    assert (started, found.finished, found.record.verdict) == ([], None, "not enough data")
    assert "10 subjects, of at least 11" in found.record.decided_by
    assert "with lesion, of at least 40" in found.record.decided_by
    assert {one.verdict for one in found.record.endpoints} == {"not enough data"}
    assert list(found.record.files) == ["report.html"]
    assert "not enough data" in (found.folder / "report.html").read_text()


def test_a_changed_protocol_is_refused(copy: Path, run: Run) -> None:
    edit(copy, title="Another")
    with pytest.raises(ScanproofError, match=r"protocol must be as it was frozen, with sha256 .*changed"):
        run(copy)


@pytest.mark.parametrize("name", ["unet", "resnet18-layer-2"])
def test_other_weights_are_refused_by_name(name: str, copy: Path, run: Run) -> None:
    file = copy.parent / "small" / "models" / name / "weights.safetensors"
    weights = load_file(file)
    first = next(iter(weights))
    save_file({**weights, first: weights[first] + 1}, file)
    with pytest.raises(ScanproofError, match=f"weights of {name} must be those that the protocol was frozen with"):
        run(copy, allow_other_code=True)
    shutil.rmtree(file.parent)
    with pytest.raises(ScanproofError, match=rf"weights of {name} must be .*existing folder"):
        run(copy)


def test_other_code_is_refused_and_named(frozen: Frozen, run: Run, copy: Path) -> None:
    code = frozen.protocol.code
    other = FrozenCode(version="9.9.9+0", parts={**code.parts, "physics": "0" * 64})
    edit(copy, code=other.model_dump(), seal=True)
    with pytest.raises(ScanproofError, match=r"frozen with, 9\.9\.9\+0, got .*other code: physics.*--allow-other-code"):
        run(copy)
    found = run(copy, allow_other_code=True)
    assert found.record.other_code
    assert any(line.startswith("code physics: frozen with 000000000000") for line in found.record.departures)
    assert "Run with other code" in (found.folder / "report.html").read_text()
    assert found.record.endpoints[0].verdict == "pass"


def test_other_libraries_are_named_and_not_refused(copy: Path) -> None:
    edit(copy, versions={"numpy": "1.0", "torch": "not installed"}, seal=True)
    found = checks.departures(read_protocol(copy), path=copy)
    assert [one.kind for one in found] == ["library", "library"]
    assert str(found[0]).startswith("library numpy: frozen with 1.0, here ")
    checks.refuse(found, path=copy, allow_other_code=False)


def test_code_of_no_part_in_results_may_be_another(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = frozen.protocol.code.model_copy(update={"version": "0.2.0+12345678"})
    monkeypatch.setattr(checks, "present_code", lambda: newer)
    assert checks.departures(frozen.protocol, path=frozen.file) == []


def write_manifest(site: Path, folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """The site's files under another manifest."""
    shutil.copytree(site, folder)
    change(pd.read_csv(site / "cohort.csv")).to_csv(folder / "cohort.csv", index=False)
    return folder


def test_wrong_data_are_refused(run: Run, site: Path, tmp_path: Path) -> None:
    renamed = write_manifest(site, tmp_path / "a", lambda table: table.rename(columns={"label_lesion": "label_x"}))
    with pytest.raises(ScanproofError, match="lesion"):
        run(data=renamed, root=tmp_path)
    two = write_manifest(site, tmp_path / "b", lambda table: table.assign(site=["x", "y"] * 5))
    with pytest.raises(ScanproofError, match=r"files must be of one site, got \['x', 'y'\]"):
        run(data=two, root=tmp_path)
    missing = write_manifest(site, tmp_path / "c", lambda table: table.assign(label_lesion=[1, 0, None, *[0] * 7]))
    with pytest.raises(ScanproofError, match="label"):
        run(data=missing, root=tmp_path)


def test_every_subject_is_tested_whatever_its_split(
    run: Run, site: Path, tmp_path: Path, validation: Validation
) -> None:
    splits = write_manifest(
        site, tmp_path / "a", lambda table: table.assign(split=["train"] * 6 + ["test"] * 4, site="other name")
    )
    found = run(data=splits)
    assert found.record.data == validation.record.data
    assert found.record.endpoints == validation.record.endpoints


def test_one_label_alone_is_not_enough_data(run: Run, site: Path, tmp_path: Path) -> None:
    healthy = write_manifest(site, tmp_path / "a", lambda table: table.assign(label_lesion=0))
    found = run(data=healthy, root=tmp_path)
    assert found.record.verdict == "not enough data"
    assert "0 subjects with lesion, of at least 2" in found.record.decided_by


@pytest.mark.parametrize("name", ["", " x", "all", "a\nb", "x" * 81])
def test_names_that_no_site_can_have(name: str) -> None:
    with pytest.raises(ScanproofError, match="--site: name of a site"):
        check_site(name)


def test_two_sites_do_not_share_a_folder(validation: Validation, run: Run) -> None:
    assert site_slug("St Elsewhere") == site_slug("St. Elsewhere")
    assert site_slug("Köln") != site_slug("東京") != site_slug("大阪")
    with pytest.raises(ScanproofError, match=r"holds the validation of another site, 'St\. Elsewhere'"):
        run(name="St Elsewhere")


def test_mlflow_knows_site_protocol_and_verdict(run: Run, root: Path) -> None:
    from mlflow import MlflowClient

    from scanproof.tracking.uri import default_tracking_uri

    uri = default_tracking_uri(root)
    found = run(tracking_uri=uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small-protocol")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], filter_string="tags.`scanproof.kind` = 'site'")
    [tags] = [one.data.tags for one in runs]
    expected = {"site": "St. Elsewhere", "protocol": "small-protocol", "verdict": "pass", "protocol_version": "1"}
    assert expected.items() <= tags.items()
    assert tags["protocol_sha256"] == found.protocol.protocol_sha256
