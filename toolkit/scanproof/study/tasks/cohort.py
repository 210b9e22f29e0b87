"""The images of a site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scanproof.data.cohort import Acquisition, Cohort
from scanproof.data.scans import ARRAYS, Scans
from scanproof.study.store import Payload
from scanproof.study.tasks.context import Context, Inputs, Params

if TYPE_CHECKING:
    from scanproof.data.manifest import LabelledFile


def make_cohort(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Simulate or read a site's cohort."""
    if params["source"] == "kspace":
        return _kspace_payload(params, context)
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
    return write_cohort(cohort)


def write_cohort(cohort: Cohort, *, large: Mapping[str, Path] | None = None) -> Payload:
    """The payload that :func:`read_cohort` reads.

    Args:
        cohort: what it holds.
        large: files of the arrays of its scans.
    """
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
    if cohort.scans is not None:
        arrays |= {"scale": cohort.scans.scale, "spacing": cohort.scans.spacing}
    return Payload(arrays=arrays, tables={"cases": cohort.cases}, facts=facts, large=large or {})


def _kspace_payload(params: Params, context: Context) -> Payload:
    """The payload of a folder of raw data, which is not held in memory."""
    from scanproof.data.kspace import kspace_cohort
    from scanproof.data.scans import ARRAYS

    folder = context.store.scratch()
    cohort = kspace_cohort(
        params["site"],
        _labelled(params, context.local["paths"]),
        folder=folder,
        targets=params["targets"],
        exclusive=params["exclusive"],
        slices=params["slices"],
        extent=tuple(params["extent"]),
        matrix=tuple(params["matrix"]),
        coils=params["coils"],
        spacing=tuple(params["spacing"]) if params["spacing"] else None,
    )
    return write_cohort(cohort, large={name: folder / f"{name}.npy" for name in ARRAYS})


def _labelled(params: Params, paths: Mapping[str, str]) -> list[LabelledFile]:
    from scanproof.data.manifest import LabelledFile

    return [
        LabelledFile(file["subject"], paths[file["sha256"]], tuple(file["labels"]), file["split"])
        for file in params["files"]
    ]


def _site_cohort(params: Params, paths: Mapping[str, str]) -> Cohort:
    """The cohort of a folder of volumes or images."""
    from scanproof.data.images import image_cohort
    from scanproof.data.volumes import volume_cohort

    files = _labelled(params, paths)
    common = {name: params[name] for name in ("targets", "exclusive", "matrix", "coils", "snr")}
    spacing = tuple(params["spacing"])
    if params["source"] == "images":
        return image_cohort(params["site"], files, **common, spacing=spacing)
    return volume_cohort(
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
    arrays = payload.arrays
    return Cohort(
        site=facts["site"],
        images=arrays["images"],
        findings=arrays.get("findings"),
        scans=_scans(arrays) if "scale" in arrays else None,
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


def _scans(arrays: Mapping[str, np.ndarray]) -> Scans:
    kept = {name: arrays[name] for name in ARRAYS}
    return Scans(**kept, scale=arrays["scale"], spacing=arrays["spacing"], rows=np.arange(len(arrays["scale"])))
