"""How well a reconstruction shows what the reader looks for: its error where the finding lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import torch

#: how far in pixels the region reaches beyond the finding
MARGIN = 2


def finding_error(image: torch.Tensor, reference: torch.Tensor, findings: torch.Tensor) -> torch.Tensor:
    r"""Relative root-mean-square error in the region of the finding.

    .. math:: \lVert (x - r)\,m \rVert \;/\; \lVert r\,m \rVert

    over the finding's map, dilated by :data:`MARGIN` pixels to :math:`m`, so that a blurred edge counts and what leaks
    into the surroundings, too. All findings of an image are one region.

    It is the NRMSE of that region. That makes it comparable between findings of any size and signal, and with the
    NRMSE of the whole image: where it is the larger of the two, the finding suffers more than the rest. An error
    relative to the finding's contrast would say more about visibility, but it needs a definition of background, and
    faint findings would then dominate every mean. So bear in mind what a large value is: a finding that is replaced
    wholly by its surroundings has an error as large as its contrast in units of its signal, 0.1 to 0.4 for the
    lesions of the demo cohort. A wrong overall intensity counts as an error, as it does in NRMSE.

    Args:
        image: real, shape ``(N, 1, H, W)``.
        reference: same shape and units.
        findings: bool, same shape, where the finding is.

    Returns:
        Of the reference's dtype, shape ``(N,)``, 0 or more; NaN for an image without finding.

    Raises:
        ScanproofError: a map of another shape or type, or a reference of zeros where the finding lies.

    Example:
        >>> import torch
        >>> reference, findings = torch.ones(2, 1, 9, 9), torch.zeros(2, 1, 9, 9, dtype=torch.bool)
        >>> findings[0, 0, 4, 4] = True
        >>> finding_error(0.75 * reference, reference, findings)
        tensor([0.2500,    nan])
    """
    import torch

    if findings.dtype != torch.bool or findings.shape != reference.shape:
        rule = f"findings must be bool and have the shape of the reference, {tuple(reference.shape)}"
        raise ScanproofError(rule, value=f"{findings.dtype} {tuple(findings.shape)}")
    region = dilated(findings, pixels=MARGIN)
    error, signal = norm((image - reference) * region), norm(reference * region)
    dark = region.any(-1).any(-1).any(-1) & (signal == 0)
    if dark.any():
        rule = f"reference must not be zero throughout a finding, image {int(dark.nonzero()[0, 0])} of the batch is"
        raise ScanproofError(rule)
    return error / signal


def norm(images: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of each image, ``(N, 1, H, W)`` to ``(N,)``."""
    import torch

    values: torch.Tensor = torch.linalg.vector_norm(images, dim=(1, 2, 3))
    return values


def dilated(maps: torch.Tensor, *, pixels: int) -> torch.Tensor:
    """Maps grown step by step to the four neighbours of each of their pixels.

    Args:
        maps: bool, shape ``(N, 1, H, W)``.
        pixels: number of steps, at least 1; two give a disc of radius 2.

    Returns:
        bool, same shape.

    Example:
        >>> import torch
        >>> dilated(torch.eye(3, dtype=torch.bool)[None, None], pixels=1).int().squeeze()
        tensor([[1, 1, 0],
                [1, 1, 1],
                [0, 1, 1]], dtype=torch.int32)
    """
    import torch
    from scipy.ndimage import binary_dilation, generate_binary_structure

    neighbours = generate_binary_structure(2, 1)[None, None]
    return torch.from_numpy(binary_dilation(maps.cpu().numpy(), neighbours, iterations=pixels))
