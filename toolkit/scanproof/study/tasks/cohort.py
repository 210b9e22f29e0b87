"""The images of a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanproof.data.cohort import Acquisition, Cohort
from scanproof.study.store import Payload
from scanproof.study.tasks.context import Context, Inputs, Params


def make_cohort(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Simulate or read a site's cohort."""
    if params["source"] == "demo":
        from scanproof.data.demo.generator import demo_cohort
        from scanproof.data.demo.shape import HeadShape

        rendering = params.get("rendering", {})
        cohort = demo_cohort(
            params["site"],
            subjects=params["subjects"],
            slices=params["slices"],
            matrix=params["matrix"],
            seed=params["seed"],
            adjacent=params["adjacent"],
            labels=params["labels"],
            shape=HeadShape(**rendering.get("anatomy", {})),
            **rendering.get("contrast", {}),
        )
    else:
        cohort = _site_cohort(params, context.local["paths"])
    acquisition = cohort.acquisition
    facts = {
        "site": cohort.site,
        "targets": list(cohort.targets),
        "exclusive": cohort.exclusive,
        "coils": acquisition.coils,
        "snr": acquisition.snr,
        "spacing": list(acquisition.spacing),
        "slice_distance": acquisition.slice_distance,
        "facts": acquisition.facts,
    }
    arrays = {"images": cohort.images}
    if cohort.findings is not None:
        arrays["findings"] = cohort.findings
    return Payload(arrays=arrays, tables={"cases": cohort.cases}, facts=facts)


def _site_cohort(params: Params, paths: Mapping[str, str]) -> Cohort:
    """The cohort of a folder of volumes or images."""
    from scanproof.data.images import image_cohort
    from scanproof.data.manifest import LabelledFile
    from scanproof.data.nifti import nifti_cohort

    files = [
        LabelledFile(file["subject"], paths[file["sha256"]], tuple(file["labels"]), file["split"])
        for file in params["files"]
    ]
    common = {name: params[name] for name in ("targets", "exclusive", "matrix", "coils", "snr")}
    spacing = tuple(params["spacing"])
    if params["source"] == "images":
        return image_cohort(params["site"], files, **common, spacing=spacing)
    return nifti_cohort(
        params["site"],
        files,
        **common,
        spacing=spacing,
        slices=params["slices"],
        extent=tuple(params["extent"]),
        adjacent=params["adjacent"],
    )


def read_cohort(payload: Payload) -> Cohort:
    """The cohort in the payload of a ``cohort`` task."""
    facts: Mapping[str, Any] = payload.facts
    return Cohort(
        site=facts["site"],
        images=payload.arrays["images"],
        findings=payload.arrays.get("findings"),
        cases=payload.tables["cases"],
        targets=tuple(facts["targets"]),
        exclusive=facts["exclusive"],
        acquisition=Acquisition(
            coils=facts["coils"],
            snr=facts["snr"],
            spacing=tuple(facts["spacing"]),
            slice_distance=facts["slice_distance"],
            facts=facts["facts"],
        ),
    )
