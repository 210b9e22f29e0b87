"""Reading a study file, with errors that name the file, the key, the rule and the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError

from scanproof.data.folder import kind_of
from scanproof.errors import ScanproofError, unknown_name
from scanproof.study.data_plans import DemoData, ImageData, NiftiData, SiteData
from scanproof.study.definition import Study
from scanproof.study.model_description import SavedModel
from scanproof.study.model_notes import check_dimensions
from scanproof.study.model_source import ModelSource, with_model
from scanproof.study.shift_plans import CompositionPlan, ShiftPlan

#: which model of several a part of an error's location stands for; no key has such a name
_VARIANTS: dict[str, type[BaseModel]] = {
    "demo": DemoData,
    "nifti": NiftiData,
    "images": ImageData,
    "single": ShiftPlan,
    "composition": CompositionPlan,
}


def load_study(
    path: Path, *, data: Path | None = None, manifest: Path | None = None, models: ModelSource | None = None
) -> Study:
    """Read and check a study file.

    Args:
        path: YAML file.
        data: folder of NIfTI volumes or of images to run the study on instead of its own data.
        manifest: CSV of that folder; default ``cohort.csv`` in it. A folder of images may have a folder a class
            instead.
        models: where saved reconstructions are looked up; default below ``mlruns``.

    Returns:
        The definition with every default filled in, paths made absolute and saved reconstructions found.

    Raises:
        ScanproofError: unreadable file, YAML error, unknown key, wrong value, unknown method, or a saved
            reconstruction that is not there or must not be read.
    """
    content = _with_presets(_read_yaml(path), base=path.parent)
    content, saved = _with_models(content, path=path, models=models or ModelSource())
    if manifest is not None and data is None:
        raise ScanproofError("--manifest needs --data", value=str(manifest))
    if data is not None:
        content = {**content, "data": _local_data(content.get("data"), data, manifest)}
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise _explain(error, path) from None
    except ScanproofError as error:
        raise ScanproofError(error.rule, file=path, key=error.key, value=error.value, hint=error.hint) from None
    for number, plan in enumerate(study.reconstruction):
        if plan.name in saved:
            check_dimensions(study, saved[plan.name], file=path, key=f"reconstruction[{number}].model")
    plans = [plan.with_saved(saved.get(plan.name)) for plan in study.reconstruction]
    return _resolve(study.model_copy(update={"reconstruction": plans}), base=path.parent)


def _local_data(own: object, data: Path, manifest: Path | None) -> dict[str, object]:
    """The data section for a local folder; image geometry is taken over from the study's own section."""
    if not data.is_dir():
        raise ScanproofError("must be an existing folder", key="--data", value=str(data))
    file = (manifest or data / "cohort.csv").resolve()
    kind = kind_of(data, file)
    by_folders = kind == "images" and manifest is None and not file.exists()
    section: dict[str, object] = {}
    if isinstance(own, dict):
        section = {key: value for key, value in own.items() if key in _shared(str(own.get("kind")), kind)}
    return {**section, "kind": kind, "root": str(data.resolve()), "manifest": None if by_folders else str(file)}


def _shared(own: str, kind: str) -> set[str]:
    """Keys that a section of data of one kind takes over from one of another."""
    keys = set(_VARIANTS[kind].model_fields) - {"training_sites"}
    if own == kind:
        return keys
    return keys & ({"slices", "matrix"} if own == "demo" else set(SiteData.model_fields))


def _with_presets(content: dict[str, object], *, base: Path) -> dict[str, object]:
    """The content with the options that preset files hold, so that a definition says all that it depends on."""
    plans = content.get("reconstruction")
    if not isinstance(plans, list):
        return content
    return {**content, "reconstruction": [_with_preset(plan, base=base) for plan in plans]}


def _with_preset(plan: object, *, base: Path) -> object:
    options = plan.get("options") if isinstance(plan, dict) else None
    preset = options.get("preset") if isinstance(options, dict) else None
    if not isinstance(plan, dict) or not isinstance(options, dict) or not isinstance(preset, str):
        return plan
    if not preset.endswith((".yaml", ".yml")):
        return plan
    from scanproof.reconstruction.untrained.presets import read_preset_file

    own = {name: value for name, value in options.items() if name != "preset"}
    return {**plan, "options": {**read_preset_file(base / preset), **own}}


def _with_models(
    content: dict[str, object], *, path: Path, models: ModelSource
) -> tuple[dict[str, object], dict[str, SavedModel]]:
    """The content with what saved reconstructions say of themselves, and these by the entry's name."""
    plans = content.get("reconstruction")
    saved: dict[str, SavedModel] = {}
    if not isinstance(plans, list):
        return content, saved
    filled: list[object] = []
    for number, plan in enumerate(plans):
        if isinstance(plan, dict) and isinstance(plan.get("model"), str):
            key = f"reconstruction[{number}]"
            try:
                found = models.find(plan["model"], base=path.parent)
            except ScanproofError as error:
                raise ScanproofError(str(error), file=path, key=f"{key}.model") from None
            try:
                plan = with_model(plan, found)
            except ScanproofError as error:
                raise ScanproofError(str(error), file=path, key=key) from None
            saved[str(plan.get("name"))] = found
        filled.append(plan)
    return {**content, "reconstruction": filled}, saved


def _resolve(study: Study, *, base: Path) -> Study:
    data = study.data
    if not isinstance(data, SiteData):
        return study
    manifest = None if data.manifest is None else (base / data.manifest).resolve()
    root = (base / data.root).resolve() if data.root else manifest and manifest.parent
    return study.model_copy(update={"data": data.model_copy(update={"manifest": manifest, "root": root})})


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML allows a key twice and keeps the last: in a study file that is always a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float | bool):
                if key in seen:
                    raise ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScanproofError("study file must exist", file=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScanproofError(f"study file must be readable UTF-8 text: {error}", file=path) from None
    try:
        content = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise ScanproofError(f"must be valid YAML: {error.problem}", file=path, key=where) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ScanproofError(f"must be valid YAML: {' '.join(str(error).split())}", file=path) from None
    if not isinstance(content, dict):
        raise ScanproofError("study file must hold a mapping of keys", file=path, value=type(content).__name__)
    return content


def _explain(error: ValidationError, path: Path) -> ScanproofError:
    """The first error in one line, with the number of further ones."""
    problems = error.errors(include_url=False)
    first = problems[0]
    location = [part for part in first["loc"] if part not in _VARIANTS]
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ScanproofError):
        hint = f"{cause.hint or ''}{more}".strip("; ") or None
        return ScanproofError(cause.rule, file=path, key=key or cause.key, value=cause.value, hint=hint)
    if first["type"] == "extra_forbidden":
        known = _keys_at(list(first["loc"][:-1]))
        return unknown_name("key", str(first["loc"][-1]), known, file=path, key=key)
    if first["type"] == "missing":
        return ScanproofError("key is required", file=path, key=key, hint=more.strip("; ") or None)
    rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    rule = rule[0].lower() + rule[1:]
    if isinstance(cause, ValueError) and ", got " in rule:
        return ScanproofError(rule, file=path, key=key, hint=more.strip("; ") or None)
    return ScanproofError(rule, file=path, key=key, value=first["input"], hint=more.strip("; ") or None)


def _keys_at(location: list[int | str]) -> list[str]:
    """Names of the keys that a study file knows at a place."""
    model: type[BaseModel] = Study
    for part in location:
        if part in _VARIANTS:
            model = _VARIANTS[str(part)]
        elif part in model.model_fields:
            found = _models_in(model.model_fields[str(part)].annotation)
            model = found[0] if len(found) == 1 else model  # of several, the next part tells which
    return list(model.model_fields)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
