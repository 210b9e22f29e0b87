"""Where in the field of view the object is."""

from __future__ import annotations

import torch

#: of the largest value of a profile: what is below belongs to the background
_SHARE = 0.2


def object_extent(images: torch.Tensor, *, axis: int) -> list[tuple[int, int]]:
    """First and last place of the object along an axis.

    The object is where the root-mean-square over all coils and the other axes exceeds a fifth of its maximum along
    the axis: low enough for a nose, which fills a twentieth of a row, and above the noise of a usable image. By
    Parseval, the other axes may hold k-space as well.

    Args:
        images: real or complex, ``(image, coil, *spatial)``, an image along ``axis``.
        axis: counted from the end.

    Returns:
        For every image its first pixel and the one after its last; the whole axis for an image of zeros.

    Example:
        >>> image = torch.zeros(1, 1, 8, 10)
        >>> image[..., 2:4, 3:7] = 1
        >>> object_extent(image, axis=-1), object_extent(image, axis=-2)
        ([(3, 7)], [(2, 4)])
    """
    values = images.detach().resolve_conj()
    parts = torch.view_as_real(values) if values.is_complex() else values[..., None]
    others = [dim for dim in range(1, parts.ndim) if dim != images.ndim + axis]
    # every profile value is the sum of one thread, so single precision does not depend on their number
    profile = torch.linalg.vector_norm(parts, dim=others)
    inside = (profile >= _SHARE * profile.amax(dim=1, keepdim=True)).int()
    first = inside.argmax(dim=1)
    stop = inside.shape[1] - inside.flip(1).argmax(dim=1)
    return list(zip(first.tolist(), stop.tolist(), strict=True))
