from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.study.load import load_study
from scanproof.study.run import definition_hash
from scanproof.study.schema import study_schema

ROOT = Path(__file__).resolve().parents[2]


def change(content: dict, path: str, value: object) -> dict:
    """Set the value at a dotted path, lists by number."""
    *parents, last = path.split(".")
    place = content
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[int(last) if isinstance(place, list) else last] = value
    return content


@pytest.mark.parametrize(
    "file",
    # scaling files, which have another form, are read in tests/scaling
    [path for path in sorted((ROOT / "studies").glob("*.yaml")) if not re.search("^scaling:", path.read_text(), re.M)],
    ids=lambda p: p.name,
)
def test_every_study_of_the_project_is_valid(file: Path) -> None:
    assert load_study(file).name == file.stem


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sede", 3, r"study.yaml: sede: unknown key, got 'sede' \(did you mean 'seed'\? known: acquisition, "),
        ("data.silces", 3, r"data.silces: unknown key, got 'silces' \(did you mean 'slices'"),
        ("acquisition.mask", "spiral", r"acquisition.mask: .*'random' or 'equispaced', got 'spiral'"),
        ("acquisition.accelerations", [0.5], r"acquisition.accelerations\[0\]: .*greater than 1, got 0.5"),
        ("acquisition.accelerations", [4, 4], r"acceleration must be listed once, got 4.0 twice"),
        ("shifts.0.name", "ghostng", r"shifts\[0\].name: unknown shift, got 'ghostng' \(did you mean 'ghosting'"),
        ("shifts.0.severities", [7], r"shifts\[0\].severities\[0\]: .*less than or equal to 5, got 7"),
        ("shifts.0.severity", 3, r"shifts\[0\].severity: unknown key, got 'severity' \(did you mean 'severities'"),
        (
            "reconstruction.1.name",
            "unett",
            r"reconstruction\[1\]: unknown reconstruction, got 'unett'.*did you mean 'unet'",
        ),
        ("reconstruction.1.options.epoch", 3, r"unknown option of reconstruction 'unet', got 'epoch'.*'epochs'"),
        ("reconstruction", [], r"reconstruction: .*at least 1 item"),
        (
            "classification.0.norms",
            ["btach"],
            r"classification\[0\].norms\[0\]: .*'batch', 'group', .*'batch_entropy' or 'unknown', got 'btach'",
        ),
        ("classification.0.name", "resnet19", r"unknown classifier, got 'resnet19'"),
        ("classification.0.options.widht", 2, r"unknown option of classifier 'resnet18', got 'widht'"),
        ("classification.0.train_on", "cg_sense", r"unknown reconstruction for classifier 'resnet18' to train on"),
        (
            "classification.0.training.epochs",
            0,
            r"classification\[0\].training.epochs: .*greater than or equal to 1, got 0",
        ),
        ("data.sites", ["nort"], r"data.sites: unknown demo site, got 'nort' \(did you mean 'north'"),
        ("data.training_sites", ["west"], r"unknown training site, got 'west'"),
        ("data.kind", "dicom", r"data: .*'demo', 'volumes', 'images'"),
        ("data", {"kind": "images"}, "data: manifest or root must be given"),
        ("data", {"kind": "images", "root": "x", "slices": 3}, "data.slices: unknown key, got 'slices'"),
        ("data", {"kind": "images", "root": "x", "spacing": [0, 1]}, r"data.spacing\[0\]: .*greater than 0, got 0"),
        ("data.labels", ["lesoin"], r"data.labels: unknown finding of the demo cohort, got 'lesoin' \(did you"),
        ("data.labels", ["lesion", "lesion"], "data.labels: finding must be listed once, got 'lesion' twice"),
        ("name", "a/b", r"name: must start with a letter or digit"),
        ("seed", "x", r"seed: .*valid integer.*got 'x'"),
        ("claims.0.compare", "vit", r"claims\[0\].compare: unknown reconstruction, got 'vit'"),
        ("claims.0.compare", ["fully_sampled", "vit"], r"claims\[0\].*name as many as compare"),
        ("reconstruction.0.training_seed", 2, r"reconstruction\[0\].*must be trained to have a seed of its training"),
        ("reconstruction.1.training_seed", -1, r"training_seed: .*greater than or equal to 0, got -1"),
        ("claims.0.metric", "vif", r"claims\[0\].metric: unknown metric, got 'vif'"),
        (
            "claims.0.shift",
            "spike",
            r"claims\[0\].shift: unknown shift, got 'spike' .known: all, complex_noise",
        ),
        ("claims.0.severity", 4, r"claims\[0\].severity: severity of complex_noise must be one that is tested"),
        ("claims.0.against", "fully_sampled", r"claims\[0\].*against must be another one"),
        ("claims.1.margin", 0, r"claims\[1\].*margin must be 0 where 'better' is expected, and positive"),
        ("claims.0.expect", "best", r"claims\[0\].expect: .*'better', 'not_worse' or 'similar', got 'best'"),
        ("evaluation.confidence", 95, r"evaluation.confidence: .*less than 1, got 95"),
    ],
)
def test_errors_name_file_key_rule_and_value(
    small, claims, write_study, path: str, value: object, message: str
) -> None:
    small["claims"] = [dict(claim) for claim in claims]
    with pytest.raises(ScanproofError, match=message) as caught:
        load_study(write_study(change(small, path, value)))
    assert "study.yaml: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [a", r"study.yaml: line \d+, column \d+: must be valid YAML"),
        ("name: a\nname: b\n", "line 2, column 1: must be valid YAML: key 'name' stands twice"),
        ("- a\n- b\n", "study file must hold a mapping of keys, got 'list'"),
        ("", "study file must hold a mapping of keys, got 'NoneType'"),
        ("name: a\ndata: {kind: demo}\n", r"reconstruction: key is required"),
        ("name: !!python/object/apply:os.system [echo]\n", "must be valid YAML"),
        ("\t", "must be valid YAML"),
    ],
)
def test_broken_files_are_named(write_study, text: str, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        load_study(write_study(text))


def test_single_images_are_no_volumes(small, write_study) -> None:
    small["data"], small["acquisition"]["dimensions"] = {"kind": "images", "root": "x"}, 3
    with pytest.raises(ScanproofError, match=r"acquisition.dimensions: must be 2 for single images.*got 3"):
        load_study(write_study({**small, "reconstruction": [{"name": "fully_sampled"}], "classification": []}))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match=r"none\.yaml: study file must exist"):
        load_study(tmp_path / "none.yaml")
    with pytest.raises(ScanproofError, match="study file must be readable"):
        load_study(tmp_path)
    with pytest.raises(ScanproofError, match="--data: must be an existing folder"):
        load_study(ROOT / "studies" / "demo.yaml", data=tmp_path / "none")
    with pytest.raises(ScanproofError, match="--manifest needs --data"):
        load_study(ROOT / "studies" / "demo.yaml", manifest=tmp_path / "m.csv")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_keys = st.sampled_from(
    ["name", "seed", "data", "acquisition", "shifts", "reconstruction", "classification", "evaluation"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_keys, _json, max_size=4))
def test_any_content_is_valid_or_a_clear_error(small, write_study, extra: dict) -> None:
    text = ""
    try:
        load_study(write_study({**small, **extra}))
    except ScanproofError as error:
        text = str(error)
    assert text == "" or ("study.yaml: " in text and "\n" not in text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_any_text_is_valid_or_a_clear_error(write_study, text: str) -> None:
    with pytest.raises(ScanproofError, match=r"study\.yaml"):
        load_study(write_study(text))


def test_defaults_are_filled_in_and_hashed(small, write_study) -> None:
    first = load_study(write_study(small))
    explicit = load_study(write_study({**small, "compute": {"threads": 1}}))
    assert definition_hash(first) == definition_hash(explicit)
    assert definition_hash(load_study(write_study({**small, "seed": 8}))) != definition_hash(first)


def test_local_data_take_the_place_of_the_studys(small, write_study, tmp_path: Path) -> None:
    study = load_study(write_study(small), data=tmp_path)
    assert study.data.kind == "volumes"
    assert study.data.manifest == tmp_path.resolve() / "cohort.csv"
    assert study.data.root == tmp_path.resolve()
    assert (study.data.slices, study.data.matrix) == (3, (48, 40))
    assert study.data.show_images is False


def test_where_local_data_lie_is_not_hashed(small, write_study, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (load_study(write_study(small), data=tmp_path / name) for name in "ab")
    assert definition_hash(first) == definition_hash(second)


def test_relative_paths_are_relative_to_the_study_file(write_study, small, tmp_path: Path) -> None:
    study = load_study(write_study({**small, "data": {"kind": "volumes", "manifest": "mri/cohort.csv"}}))
    assert study.data.manifest == (tmp_path / "mri" / "cohort.csv").resolve()
    assert study.data.root == (tmp_path / "mri").resolve()


PRESET = {"channels": 24, "learning_rate": 0.004, "input_size": None}


def test_a_preset_file_becomes_part_of_the_definition(write_study, small, tmp_path: Path) -> None:
    (tmp_path / "tuned.yaml").write_text(yaml.safe_dump(PRESET), encoding="utf-8")
    plan = {"name": "tuned", "method": "conv_decoder", "options": {"preset": "tuned.yaml", "channels": 32}}
    study = load_study(write_study({**small, "reconstruction": [*small["reconstruction"], plan]}))
    assert study.reconstruction[-1].options == {**PRESET, "channels": 32}
    assert study.reconstruction[-1].method == "conv_decoder"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, {"preset": "gone.yaml"}, r"gone\.yaml: preset must exist"),
        ("- 1", {"preset": "tuned.yaml"}, r"tuned\.yaml: preset must map options to values, got 'list'"),
        ("chanels: 3", {"preset": "tuned.yaml"}, "unknown option of reconstruction 'conv_decoder'.*'chanels'"),
        (None, {"presets": "default"}, "unknown option of reconstruction 'conv_decoder'.*'presets'"),
    ],
)
def test_wrong_presets(write_study, small, tmp_path: Path, text: str | None, options: dict, message: str) -> None:
    if text:
        (tmp_path / "tuned.yaml").write_text(text, encoding="utf-8")
    plan = {"name": "conv_decoder", "options": options}
    with pytest.raises(ScanproofError, match=message):
        load_study(write_study({**small, "reconstruction": [*small["reconstruction"], plan]}))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"name": "cg_sense", "weights_from": "unet"}, "cg_sense must be a kind of unet to work with its weights"),
        ({"name": "unet_ttt", "weights_from": "vnet"}, "unknown reconstruction to take weights from.*'vnet'.*unet"),
        (
            {"name": "wide", "method": "fully_sampled", "weights_from": "fully_sampled"},
            "must name a reconstruction that is trained",
        ),
        ({"name": "a b", "method": "unet"}, "must start with a letter or digit"),
        ({"name": "mine"}, "unknown reconstruction, got 'mine'"),
    ],
)
def test_wrong_reconstructions(write_study, small, plan: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        load_study(write_study({**small, "reconstruction": [*small["reconstruction"], plan]}))


def test_schema_names_all_methods_and_the_committed_one_is_current() -> None:
    text = study_schema()
    schema = json.loads(text)
    assert {"unet", "cg_sense"} <= set(schema["$defs"]["ReconstructionPlan"]["then"]["properties"]["name"]["enum"])
    assert (ROOT / "studies" / "study.schema.json").read_text() == text + "\n"
