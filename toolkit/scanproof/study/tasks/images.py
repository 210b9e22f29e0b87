"""Reconstructions: how they are trained, and the images that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scanproof.data.cohort import Cohort
from scanproof.data.labels import label_columns
from scanproof.study.store import Payload, Store
from scanproof.study.tasks.cohort import read_cohort
from scanproof.study.tasks.context import Context, Inputs, Params, trained

if TYPE_CHECKING:
    from torch import Tensor

    from scanproof.reconstruction.base import Reconstructor
    from scanproof.study.acquire import AcquiredCohort, Sampling, ScanMemory

#: slices that are reconstructed together: few enough for their k-space to stay in a core's cache
BATCH = 4


def _sampling(params: Params) -> Sampling:
    from scanproof.study.acquire import Sampling

    return Sampling(
        mask=params["mask"],
        acceleration=params["acceleration"],
        center_fraction=params["center_fraction"],
        dimensions=params["dimensions"],
    )


def fit_reconstruction(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Train a reconstruction."""
    from scanproof.reconstruction import RECONSTRUCTORS
    from scanproof.seeds import derive_seed
    from scanproof.study.acquire import AcquiredCohort

    cohorts = [_load_cohort(context.store, cohort) for cohort in inputs["cohorts"]]
    samples = {
        split: _samples(
            [AcquiredCohort(c.select(split), sampling=_sampling(params), seed=params["seed"]) for c in cohorts]
        )
        for split in ("train", "val")
    }
    method = RECONSTRUCTORS.create(params["method"], params["options"]).in_dimensions(params["dimensions"])
    another = [params["training_seed"]] if params["training_seed"] else []
    result = method.fit(
        samples["train"],
        samples["val"],
        seed=derive_seed(params["seed"], "fit", params["method"], params["acceleration"], *another),
        handlers=context.handlers(key, params) if context.handlers else (),
        checkpoint=context.store.unfinished(key),
    )
    return trained(result)


def _samples(acquired: Sequence[AcquiredCohort]) -> Sequence[dict[str, Tensor]]:
    """The samples of all sites: simulated ones are kept, measured ones are read again whenever they are asked for."""
    from scanproof.training.samples import Joined

    if any(one.cohort.scans is not None for one in acquired):
        return Joined(acquired)
    return [sample for one in acquired for sample in one]


def load_reconstruction(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """The weights of a saved reconstruction; of another origin, its files."""
    if "path" in context.local:
        from scanproof.external.files import read_files
        from scanproof.study.saved_model import check_hash

        path = Path(context.local["path"])
        files = read_files(path)
        check_hash(files.sha256, params["model_sha256"], file=path)
        return Payload(arrays={name: np.frombuffer(data, np.uint8) for name, data in files.contents.items()})
    from scanproof.study.saved_model import read_model

    return Payload(arrays=read_model(Path(context.local["folder"]), model_sha256=params["model_sha256"]))


def reconstruct(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Images of one split of a site under one condition, and their quality."""
    import torch

    from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
    from scanproof.evaluation.image_metrics import image_metrics
    from scanproof.reconstruction import RECONSTRUCTORS
    from scanproof.seeds import derive_seed
    from scanproof.study.acquire import AcquiredCohort, Changes, collate, quantise

    cohort = _load_cohort(context.store, inputs["cohort"][0]).select(params["split"])
    changes = params["changes"]
    artifacts = tuple((str(name), int(severity)) for name, severity in changes["artifacts"])
    acquired = AcquiredCohort(
        cohort,
        sampling=_sampling(params["sampling"]),
        seed=params["seed"],
        changes=Changes(artifacts=artifacts, coils=changes["coils"], snr=changes["snr"]),
        memory=_scans(),
        identity=inputs["cohort"][0],
    )
    dimensions = int(params["sampling"]["dimensions"])
    method = RECONSTRUCTORS.create(params["method"], params["options"]).in_dimensions(dimensions)
    if method.trainable:
        weights = context.store.get(inputs["model"][0]).arrays
        method.load({name: torch.from_numpy(array) for name, array in weights.items()})
    findings = None if cohort.findings is None else torch.from_numpy(cohort.findings)
    images, metrics = [], []
    together = BATCH if dimensions == 2 else 1  # volumes may differ in depth
    for start in range(0, len(acquired), together):
        chosen = range(start, min(start + together, len(acquired)))
        samples = [acquired[index] for index in chosen]
        if changes["adversarial"] > 0:
            samples = [
                _attacked(
                    sample,
                    method,
                    strength=changes["adversarial"],
                    seed=derive_seed(params["seed"], "adversarial", cohort.site, acquired.name(index)),
                )
                for sample, index in zip(samples, chosen, strict=True)
            ]
        batch = collate(samples)
        image = _as_cases(method(batch[KSPACE], batch[MASK], batch[SENSITIVITIES]), dimensions)
        images.append(image.numpy())
        rows = slice(acquired.rows[chosen[0]].start, acquired.rows[chosen[-1]].stop)
        where = None if findings is None else findings[rows]
        reference = _as_cases(batch[REFERENCE], dimensions)
        metrics.append(image_metrics(image, reference, metrics=params["image_metrics"], findings=where))
    integers, slopes = quantise(np.concatenate(images))
    table = cohort.cases[["subject", "case", *label_columns(cohort.cases)]].assign(
        **{name: np.concatenate([m[name] for m in metrics]) for name in params["image_metrics"]}
    )
    facts = {
        "site": cohort.site,
        "exclusive": cohort.exclusive,
        "split": params["split"],
        "shift": params["shift"],
        "severity": params["severity"],
        "reconstruction": params["reconstruction"],
        "acceleration": params["acceleration"],
    }
    return Payload(arrays={"images": integers, "slopes": slopes}, tables={"cases": table}, facts=facts)


def _as_cases(images: Tensor, dimensions: int) -> Tensor:
    """One image a case, (N, 1, H, W), of slices (N, 1, H, W) or volumes (N, 1, D, H, W)."""
    return images if dimensions == 2 else images.movedim(2, 1).flatten(0, 1)


def _attacked(sample: Mapping[str, Tensor], method: Reconstructor, *, strength: float, seed: int) -> dict[str, Tensor]:
    """A sample whose k-space has the perturbation that does most to this method's image."""
    from scanproof.data.keys import KSPACE, MASK, SENSITIVITIES
    from scanproof.reconstruction.adversarial import perturb

    arguments = (sample[KSPACE], sample[MASK], sample[SENSITIVITIES])
    return {**sample, KSPACE: perturb(method, *arguments, strength=strength, seed=seed)}


def read_images(payload: Payload) -> np.ndarray:
    """Images, float32 (N, 1, H, W), in the payload of a ``reconstruct`` task."""
    from scanproof.study.acquire import restore

    return restore(payload.arrays["images"], payload.arrays["slopes"])


@lru_cache(maxsize=4)
def _load_cohort(store: Store, key: str) -> Cohort:
    return read_cohort(store.get(key))


@lru_cache(maxsize=1)
def _scans() -> ScanMemory:
    """One memory a process."""
    from scanproof.study.acquire import ScanMemory

    return ScanMemory()
