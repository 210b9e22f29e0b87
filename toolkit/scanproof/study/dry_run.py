"""Models of others are tried before anything long begins."""

from __future__ import annotations

import numpy as np

from scanproof.errors import ScanproofError
from scanproof.study.classifier_plan import ClassifierPlan
from scanproof.study.definition import ReconstructionPlan, Study
from scanproof.study.external_model import ExternalModel
from scanproof.study.external_plan import EXTERNAL_KEYS


def try_models(study: Study, *, exclusive: bool = False) -> list[str]:
    """Let each model of another origin read two images of the study's size, a constant one and noise.

    Args:
        study: the definition.
        exclusive: the labels of the data exclude each other; what a model does where the study does not say.

    Returns:
        A line about each model.

    Raises:
        ScanproofError: see :func:`scanproof.classification.external.dry_run`; it names the entry.
    """
    methods = [
        _try_reconstruction(study, method, method.external, number)
        for number, method in enumerate(study.reconstruction)
        if method.external is not None
    ]
    readers = [
        _try(study, plan, plan.external, number, exclusive=exclusive)
        for number, plan in enumerate(study.classification)
        if plan.external is not None
    ]
    return [*methods, *readers]


def _try_reconstruction(study: Study, plan: ReconstructionPlan, external: ExternalModel, number: int) -> str:
    """Images of two phantoms, a constant and noise, from two coils; twice, and each alone."""
    import torch

    from scanproof.physics.fft import image_to_kspace
    from scanproof.reconstruction import RECONSTRUCTORS

    shown = phantoms(study.data.matrix)
    noise = np.random.default_rng(0).random(shown[:1].shape, np.float32)
    images = torch.from_numpy(np.concatenate([shown, np.full_like(shown[:1], 0.5), noise]))
    sensitivities = torch.full((len(images), 2, *images.shape[-2:]), 0.5**0.5, dtype=torch.complex64)
    mask = torch.zeros(1, 1, 1, images.shape[-1], dtype=torch.bool)
    mask[..., ::2] = True
    kspace = image_to_kspace(images * sensitivities) * mask
    where = f"reconstruction[{number}] ({plan.name})"
    try:
        method = RECONSTRUCTORS.create(plan.method, plan.options)
        method.load(
            {
                name: torch.frombuffer(bytearray(data), dtype=torch.uint8)
                for name, data in external.files.contents.items()
            }
        )
        first, again = method(kspace, mask, sensitivities), method(kspace, mask, sensitivities)
        alone = torch.cat([method(kspace[[one]], mask, sensitivities[[one]]) for one in range(len(kspace))])
        if not torch.equal(first, again):
            raise ScanproofError("model must give the same images twice", hint="a random layer may be in training mode")
        if not torch.allclose(alone, first, rtol=1e-3, atol=1e-4):
            hint = "batch normalization may be in training mode"
            raise ScanproofError("model must give of a slice alone what it gives of it among others", hint=hint)
    except ScanproofError as error:
        raise ScanproofError(error.rule, file=external.path, key=where, value=error.value, hint=error.hint) from None
    size = " x ".join(map(str, study.data.matrix))
    return f"{plan.name}: {external.files.format}, sha256 {external.sha256[:12]}, makes images of {size}"


def _try(study: Study, plan: ClassifierPlan, external: ExternalModel, number: int, *, exclusive: bool) -> str:
    from scanproof.classification.external import dry_run
    from scanproof.study.tasks.saved import make_external

    keys = plan.model_dump(mode="json", include={*EXTERNAL_KEYS})
    told = exclusive if plan.exclusive is None else plan.exclusive
    own = {"classifier": plan.name, "labels": plan.labels, "exclusive": told}
    images = phantoms(study.data.matrix, depth=_depth(study) if plan.dimensions == 3 else None)
    try:
        dry_run(make_external({**keys, **own}, external.open()), images)
    except ScanproofError as error:
        where = f"classification[{number}] ({plan.name})"
        raise ScanproofError(error.rule, file=external.path, key=where, value=error.value, hint=error.hint) from None
    return (
        f"{plan.name}: {external.files.format}, norm {plan.norms[0]}, sha256 {external.sha256[:12]}, reads images of "
        f"{' x '.join(map(str, images.shape[2:]))} as {', '.join(plan.labels or [])}"
    )


def phantoms(matrix: tuple[int, int], *, depth: int | None = None) -> np.ndarray:
    """Two images that are no patient's: bright ellipses with a spot, float32 (2, 1, H, W) or (2, 1, D, H, W).

    Args:
        matrix: rows and columns.
        depth: slices of a volume.

    Example:
        >>> phantoms((32, 24)).shape
        (2, 1, 32, 24)
    """
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, count) for count in matrix), indexing="ij")
    head = ((rows / 0.9) ** 2 + (columns / 0.7) ** 2 < 1).astype(np.float32)
    spots = [((rows - place) ** 2 + columns**2 < 0.02).astype(np.float32) for place in (-0.3, 0.4)]
    images = np.stack([0.6 * head * (1 - 0.2 * rows**2) + 0.4 * spot for spot in spots]).astype(np.float32)[:, None]
    return images if depth is None else np.repeat(images[:, :, None], depth, axis=2)


def _depth(study: Study) -> int:
    return int(getattr(study.data, "slices", 1))
