"""Freezing a finished study: what is written, that it repeats, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scanproof.errors import ScanproofError
from scanproof.protocol.check import departures
from scanproof.protocol.file import read_protocol
from scanproof.protocol.freeze import Frozen, freeze_study, renew_protocol
from scanproof.protocol.plan import FreezePlan
from scanproof.study.definition import Study
from scanproof.study.run import Workspace


def changed(plan: FreezePlan, **values: object) -> FreezePlan:
    return FreezePlan.model_validate({**plan.model_dump(exclude_none=True), **values})


def test_a_finished_study_is_frozen_whole(frozen: Frozen) -> None:
    protocol = read_protocol(frozen.file)
    names = {"unet", "resnet18-batch-1", "resnet18-batch-2", "resnet18-layer-1", "resnet18-layer-2"}
    assert set(protocol.models) == names
    assert protocol.labels == ["lesion"]
    assert [endpoint.role for endpoint in protocol.endpoints] == ["primary", *["secondary"] * 4]
    assert protocol.endpoints[-1].name == "claim-1"
    assert all(endpoint.text and endpoint.confidence == 0.95 for endpoint in protocol.endpoints)
    assert (protocol.minimum.subjects, protocol.minimum.positives) == (6, 2)
    assert protocol.study["data"]["extent"] == [0.1, 0.9]
    assert not {"manifest", "root"} & set(protocol.study["data"])
    assert departures(protocol, path=frozen.file) == []


def test_freezing_twice_gives_the_same_file(
    frozen: Frozen, study: Study, plan: FreezePlan, workspace: Workspace, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in frozen.file.parent.rglob("*") if path.is_file()}
    again = freeze_study(study, plan, workspace, frozen.file, command="run")
    assert not again.new
    assert {path: path.read_bytes() for path in frozen.file.parent.rglob("*") if path.is_file()} == before
    elsewhere = freeze_study(study, plan, workspace, tmp_path / "small.yaml", command="run")
    assert elsewhere.file.read_bytes() == frozen.file.read_bytes()


def test_a_version_is_not_changed_once_it_is_frozen(
    study: Study, plan: FreezePlan, workspace: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "one.yaml"
    freeze_study(study, plan, workspace, file, command="run")
    text = file.read_text()
    with pytest.raises(ScanproofError, match="title: version 1 of a protocol must not change once it is frozen"):
        freeze_study(study, changed(plan, title="Another"), workspace, file, command="run")
    assert file.read_text() == text
    assert freeze_study(study, changed(plan, title="Another", version="2"), workspace, file, command="run").new


def test_an_unfinished_study_is_refused(study: Study, plan: FreezePlan, tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match=r"small: study must be finished with the code .*\(run: scanproof run s\)"):
        freeze_study(study, plan, Workspace(root=tmp_path), tmp_path / "p.yaml", command="scanproof run s")
    assert not (tmp_path / "p.yaml").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reconstruction": "unett"}, "unknown reconstruction, got 'unett' .did you mean 'unet'"),
        ({"metric": "psnr"}, "unknown metric, got 'psnr'"),
        ({"shift": "ghosting"}, "unknown shift, got 'ghosting'"),
        ({"shift": "complex_noise", "severity": 3}, "severity of complex_noise must be one that is tested"),
        ({"metric": "auroc", "norm": "group"}, "unknown norm, got 'group'"),
        ({"metric": "auroc", "classifier": "densenet"}, "unknown classifier, got 'densenet'"),
    ],
)
def test_endpoints_name_what_is_tested(
    wrong: dict[str, object], message: str, study: Study, plan: FreezePlan, workspace: Workspace, tmp_path: Path
) -> None:
    endpoint = {"name": "x", "metric": "ssim", "reconstruction": "unet", "rule": "at_least", "limit": 0.5, **wrong}
    endpoints = [plan.endpoints[0].model_dump(exclude_none=True), endpoint]
    with pytest.raises(ScanproofError, match=message):
        freeze_study(study, changed(plan, endpoints=endpoints), workspace, tmp_path / "p.yaml", command="run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rule": "not_worse", "compare": "unet", "against": "zero_filled"}, "margin must be given for not_worse"),
        ({"rule": "at_least", "reconstruction": "unet"}, "limit must be given for at_least"),
        ({"rule": "better", "compare": "unet"}, "against must be given for better"),
        ({"rule": "at_most", "limit": 1, "reconstruction": "unet", "norm": "batch"}, "norm must be left out"),
        ({"rule": "at_most", "limit": 1, "reconstruction": "unet", "measure": "change"}, "shift must not be none"),
    ],
)
def test_an_incomplete_endpoint_is_refused(wrong: dict[str, object], message: str, plan: FreezePlan) -> None:
    with pytest.raises(ValueError, match=message):
        changed(plan, endpoints=[plan.endpoints[0], {"name": "x", "metric": "ssim", **wrong}])


def test_one_endpoint_is_primary(plan: FreezePlan) -> None:
    with pytest.raises(ValueError, match="endpoints must have one of role primary, got 0"):
        changed(plan, endpoints=plan.endpoints[1:])


def test_a_minimum_follows_from_what_the_study_found(
    study: Study, plan: FreezePlan, workspace: Workspace, tmp_path: Path
) -> None:
    exact = changed(plan, minimum={"half_width": 0.002, "cases": 30})
    minimum = freeze_study(study, exact, workspace, tmp_path / "a.yaml", command="run").protocol.minimum
    rough = changed(plan, minimum={"half_width": 0.2, "cases": 30})
    other = freeze_study(study, rough, workspace, tmp_path / "b.yaml", command="run").protocol.minimum
    assert minimum.subjects > other.subjects
    assert minimum.cases == 30
    assert "Student's interval" in minimum.how
    with pytest.raises(ScanproofError, match=r"minimum\.subjects: must be given where neither"):
        freeze_study(study, changed(plan, minimum={"cases": 2}), workspace, tmp_path / "c.yaml", command="run")


def test_a_protocol_is_renewed_with_its_weights(frozen: Frozen, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(frozen.file.parent, tmp_path / "copy")
    file = tmp_path / "copy" / "small.yaml"
    with pytest.raises(ScanproofError, match="must be another version than that of the file"):
        renew_protocol(file, version="1")
    renewed = renew_protocol(file, version="2").protocol
    assert renewed.origin.renewed_from == frozen.protocol.protocol_sha256
    assert renewed.models == frozen.protocol.models
    assert renewed.protocol_sha256 != frozen.protocol.protocol_sha256
    content = yaml.safe_load(file.read_text())
    assert content["version"] == "2"
