"""Thermal receiver noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch

from scanproof.errors import ScanproofError

#: complex numbers that are drawn at a time: the processor's cache holds what is made of them
_CHUNK = 2**16

_Write = Callable[[slice, npt.NDArray[np.float32], npt.NDArray[np.float32]], None]


def complex_gaussian(shape: Sequence[int], *, std: float, generator: torch.Generator) -> torch.Tensor:
    r"""White circular complex Gaussian noise.

    Thermal noise of an MR receiver is Gaussian with the same variance in the real and the imaginary channel. As the
    Fourier transform of the package is orthonormal, noise of some ``std`` in k-space has the same ``std`` in the
    image. The magnitude of signal plus noise is then Rician in one coil (Gudbjartsson and Patz, Magn Reson Med
    1995;34:910) and non-central chi after root-sum-of-squares of several.

    Args:
        shape: of the result.
        std: standard deviation of the real part **and** of the imaginary part, each; the magnitude squared has
            the mean ``2 * std**2``.
        generator: CPU generator; the same state gives the same noise, for any number of threads.

    Returns:
        complex64 of the given shape.

    Raises:
        ScanproofError: a negative or non-finite ``std``.

    Example:
        >>> noise = complex_gaussian((64, 64), std=2.0, generator=torch.Generator().manual_seed(1))
        >>> 1.9 < noise.real.std() < 2.1, noise.dtype
        (tensor(True), torch.complex64)
    """
    noise = np.empty(math.prod(shape), np.complex64)
    scale = _checked(std)

    def write(where: slice, real: npt.NDArray[np.float32], imaginary: npt.NDArray[np.float32]) -> None:
        np.multiply(real, scale, out=noise.real[where])
        np.multiply(imaginary, scale, out=noise.imag[where])

    _draw([(noise.size, write)], generator=generator)
    return torch.from_numpy(noise).reshape(*shape)


def rician(images: torch.Tensor, *, std: Sequence[float], generator: torch.Generator) -> torch.Tensor:
    """Magnitudes of images with white complex noise: ``|image + complex_gaussian(...)|``, one image after the other.

    Takes neither the memory nor the time of complex numbers, but is not differentiable.

    Args:
        images: float32 on the CPU, ``(image, ...)``.
        std: as in :func:`complex_gaussian`, for every image.
        generator: as in :func:`complex_gaussian`; the same state gives the same noise there and here.

    Returns:
        float32 of the same shape, a new tensor.

    Raises:
        ScanproofError: a negative or non-finite ``std``.

    Example:
        >>> rician(torch.tensor([[3.0, 4.0]]), std=[0.0], generator=torch.Generator()).tolist()
        [[3.0, 4.0]]
    """
    cleans = images.detach().flatten(1).numpy()
    noisies = np.empty_like(cleans)
    writes = [
        _write_magnitude(clean, noisy, scale=_checked(one))
        for clean, noisy, one in zip(cleans, noisies, std, strict=True)
    ]
    _draw([(cleans.shape[1], write) for write in writes], generator=generator)
    return torch.from_numpy(noisies).reshape(images.shape)


def _write_magnitude(clean: npt.NDArray[np.float32], noisy: npt.NDArray[np.float32], *, scale: np.float32) -> _Write:
    def write(where: slice, real: npt.NDArray[np.float32], imaginary: npt.NDArray[np.float32]) -> None:
        real *= scale
        real += clean[where]
        real *= real
        imaginary *= scale
        imaginary *= imaginary
        real += imaginary
        np.sqrt(real, out=noisy[where])

    return write


def _checked(std: float) -> np.float32:
    if not 0 <= std < math.inf:
        raise ScanproofError("std must be finite and at least 0", value=std)
    return np.float32(std)


def _draw(takers: Sequence[tuple[int, _Write]], *, generator: torch.Generator) -> None:
    """Hand out pairs of independent standard normal numbers, chunk by chunk, to who takes how many of them.

    Every chunk has its own stream, so that several threads may draw them in any order. The pairs are made of uniform
    numbers by the method of Box and Muller (Ann Math Stat 1958;29:610), one of 64 random bits: up to 6.8 standard
    deviations, beyond which a pair lies in one of 10 billion cases.
    """
    chunks = []
    for count, write in takers:
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        chunks += [(seed, slice(start, min(start + _CHUNK, count)), write) for start in range(0, count, _CHUNK)]

    def fill(chunk: tuple[int, slice, _Write]) -> None:
        seed, where, write = chunk
        stream = np.random.Generator(np.random.SFC64([seed, where.start]))
        words = stream.integers(0, 2**64, where.stop - where.start, dtype=np.uint64).view(np.uint32)
        radius = words[::2].astype(np.float32)
        radius += np.float32(0.5)
        radius *= np.float32(2**-32)
        np.log(radius, out=radius)
        radius *= np.float32(-2)
        np.sqrt(radius, out=radius)
        angle = words[1::2].view(np.int32).astype(np.float32)
        angle *= np.float32(math.pi * 2**-31)
        real = np.cos(angle)
        real *= radius
        np.sin(angle, out=angle)
        angle *= radius
        write(where, real, angle)

    # a thread must have enough to do to be worth its start
    workers = min(torch.get_num_threads(), len(chunks) // 2)
    if workers < 2:
        for chunk in chunks:
            fill(chunk)
        return
    with ThreadPoolExecutor(workers) as pool:
        # the list makes errors of the threads known
        list(pool.map(fill, chunks))
