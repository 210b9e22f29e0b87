from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import LineDropout
from scanproof.transforms.line_dropout import kept_lines
from scanproof.transforms.severity import parameters


def lost(data: torch.Tensor, **options) -> torch.Tensor:
    return (LineDropout(**options)(data) == 0).all(dim=(0, 1))


def test_lines_of_the_lowest_ranks_are_lost():
    ranks = torch.tensor([0.5, 0.2, 0.9, 0.0, 0.1, 0.8, 0.3, 0.4, 0.6])
    # the centre is line 4; a third of nine lines protects one on either side of it
    kept = kept_lines(ranks, dropped=0.5, center_fraction=1 / 3)
    assert (~kept).nonzero().flatten().tolist() == [1, 6, 7]


@settings(max_examples=30, deadline=None)
@given(
    lines=st.integers(4, 200),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    center=st.floats(0, 0.6),
    seed=st.integers(0, 2**40),
)
def test_lost_lines(lines, shares, center, seed):
    ranks = torch.rand(lines, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    few, many = (kept_lines(ranks, dropped=share, center_fraction=center) for share in sorted(shares))
    assert not (many & ~few).any(), "what is lost at the lower share is lost at the higher one"
    outside = sum(abs(line - lines // 2) > center * lines / 2 for line in range(lines))
    assert int((~many).sum()) == max(1, round(max(shares) * outside))
    distance = ((~many).nonzero() - lines // 2).abs()
    assert (distance > center * lines / 2).all()


def test_all_coils_lose_the_same_lines_and_no_other(kspace):
    result = LineDropout(dropped=0.25, center_fraction=0, seed=3)(kspace)
    gone = lost(kspace, dropped=0.25, center_fraction=0, seed=3)
    assert int(gone.sum()) == round(0.25 * 25)
    assert torch.equal(result[..., ~gone], kspace[..., ~gone])


def test_lines_of_severities_are_nested(brain_kspace):
    masks = [lost(brain_kspace, severity=s, seed=4) for s in range(6)]
    for severity, (mask, worse) in enumerate(itertools.pairwise(masks), start=1):
        assert not (mask & ~worse).any()
        # 9 of 117 lines lie in the band of 0.08
        assert int(worse.sum()) == round(108 * parameters("line_dropout", severity)["dropped"])


def test_lines_are_anywhere_outside_the_centre(kspace):
    """Over many seeds every line outside is lost about equally often."""
    counts = sum(lost(kspace, dropped=0.25, center_fraction=0.2, seed=s).int() for s in range(400))
    distance = (torch.arange(26) - 13).abs()
    assert (counts[distance <= 2] == 0).all()
    # binomial, 400 draws with probability 5/21: mean 95, standard deviation 8.5
    assert (counts[distance > 2] - 95).abs().max() < 5 * 8.5


@pytest.mark.parametrize("axis", [-1, -2, 0, 1])
def test_a_lost_line_is_a_wave(axis):
    """Line u of the k-space of a point is a wave of frequency u along that axis, of magnitude 1 / n."""
    size = 32
    point = torch.zeros(1, size, size, dtype=torch.float64)
    point[0, 5, 9] = 1
    image = kspace_to_image(LineDropout(dropped=0.01, axis=axis, seed=2)(image_to_kspace(point)))
    missing = (point - image)[0]
    along = missing[:, 9] if axis in (-2, 0) else missing[5]
    torch.testing.assert_close(along.abs(), torch.full((size,), 1 / size, dtype=torch.float64))
    steps = torch.angle(along[1:] * along[:-1].conj()) * size / (2 * torch.pi)
    gone = int(lost(torch.ones(1, 1, size, dtype=torch.complex64), dropped=0.01, seed=2).nonzero()) - size // 2
    torch.testing.assert_close(steps, torch.full_like(steps, gone))
    assert int((missing.abs() > 1e-9).sum()) == size


def test_energy_is_that_of_the_lines_left(brain_kspace):
    fine = brain_kspace.to(torch.complex128)
    gone = lost(fine, severity=5)
    left = LineDropout(severity=5)(fine)
    torch.testing.assert_close(left.norm() ** 2, fine.norm() ** 2 - fine[..., gone].norm() ** 2)


def test_image_and_kspace_agree(brain):
    single = kspace_to_image(LineDropout(severity=4)(image_to_kspace(brain))).abs()
    torch.testing.assert_close(LineDropout(severity=4)(brain), single, rtol=0, atol=1e-5)


def test_volumes():
    volume = torch.randn(1, 20, 12, 14, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    result = LineDropout(dropped=0.3, axis=0)(volume)
    gone = (result == 0).all(dim=(0, 2, 3))
    assert int(gone.sum()) == round(0.3 * 19)
    assert torch.equal(result[:, ~gone], volume[:, ~gone])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dropped": 0}, r"line_dropout: dropped must be in \(0, 1\], got 0 \(severity=0 is the identity\)"),
        ({"dropped": 1.1}, r"line_dropout: dropped must be in \(0, 1\], got 1.1"),
        ({"severity": 1, "center_fraction": 1}, r"line_dropout: center_fraction must be in \[0, 1\), got 1"),
        ({"severity": 1, "center_fraction": float("nan")}, r"center_fraction must be in \[0, 1\), got nan"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        LineDropout(**options)


def test_no_line_to_lose():
    with pytest.raises(ScanproofError, match=r"must leave lines to lose outside the k-space centre, got 0.9 \(3 lines"):
        kept_lines(torch.rand(3), dropped=0.5, center_fraction=0.9)
