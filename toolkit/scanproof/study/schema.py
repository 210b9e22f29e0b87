"""JSON schema of a study file, so that editors complete and check it."""

from __future__ import annotations

import json

from scanproof.classification import CLASSIFIERS
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquisition_shifts import ALONE, VOLUMES_ONLY, study_shifts
from scanproof.study.definition import Study


def study_schema() -> str:
    """The schema with the names of all registered methods, as JSON text."""
    schema = Study.model_json_schema()
    definitions = schema["$defs"]
    shifts = [name for name in study_shifts() if name not in VOLUMES_ONLY]
    for name, registry in (
        ("ShiftPlan", shifts),
        ("PartPlan", [name for name in shifts if name not in ALONE]),
        ("ClassifierPlan", CLASSIFIERS),
    ):
        definitions[name]["properties"]["name"]["enum"] = list(registry)
    methods = {"enum": list(RECONSTRUCTORS)}
    plan = definitions["ReconstructionPlan"]
    plan["properties"]["method"] = {**plan["properties"]["method"], **methods}
    del plan["properties"]["method"]["default"]
    # the name is the method, where neither another nor a saved reconstruction is given
    plan["if"] = {"not": {"anyOf": [{"required": ["method"]}, {"required": ["model"]}]}}
    plan["then"] = {"properties": {"name": methods}}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "scanproof study"
    return json.dumps(schema, indent=2)
