"""JSON schema of a study file, so that editors complete and check it."""

from __future__ import annotations

import json

from scanproof.classification import CLASSIFIERS
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquisition_shifts import VOLUMES_ONLY, study_shifts
from scanproof.study.definition import Study


def study_schema() -> str:
    """The schema with the names of all registered methods, as JSON text."""
    schema = Study.model_json_schema()
    definitions = schema["$defs"]
    shifts = [name for name in study_shifts() if name not in VOLUMES_ONLY]
    for plan, registry in (
        ("ShiftPlan", shifts),
        ("PartPlan", shifts),
        ("ReconstructionPlan", RECONSTRUCTORS),
        ("ClassifierPlan", CLASSIFIERS),
    ):
        definitions[plan]["properties"]["name"]["enum"] = list(registry)
    definitions["ClassifierPlan"]["properties"]["train_on"]["enum"] = list(RECONSTRUCTORS)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "scanproof study"
    return json.dumps(schema, indent=2)
