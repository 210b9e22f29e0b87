from fractions import Fraction

import pytest

from scanproof.errors import ScanproofError
from scanproof.registry import Registry


@pytest.fixture
def numbers() -> Registry[Fraction]:
    return Registry("number", {"fraction": "fractions:Fraction"})


def test_creates_by_name(numbers: Registry[Fraction]) -> None:
    assert numbers.create("fraction", {"numerator": 3, "denominator": 6}) == Fraction(1, 2)


def test_listing_names_imports_nothing() -> None:
    registry = Registry[object]("thing", {"absent": "no_such_module:Thing"})
    assert list(registry) == ["absent"]
    assert "absent" in registry
    with pytest.raises(ModuleNotFoundError):
        registry.create("absent")


def test_unknown_name_lists_known_ones(numbers: Registry[Fraction]) -> None:
    with pytest.raises(ScanproofError, match=r"unknown number, got 'fractoin' \(did you mean 'fraction'"):
        numbers.create("fractoin")


def test_unknown_option_names_the_method(numbers: Registry[Fraction]) -> None:
    with pytest.raises(ScanproofError, match=r"option of number 'fraction', got 'nominator'.*known: .*numerator"):
        numbers.create("fraction", {"nominator": 1})


def test_a_name_is_taken_once(numbers: Registry[Fraction]) -> None:
    numbers.register("fraction", "fractions:Fraction")
    with pytest.raises(ScanproofError, match="already registered as fractions:Fraction"):
        numbers.register("fraction", "decimal:Decimal")


def test_entry_points_are_read() -> None:
    # pytest itself registers console scripts: a real entry point group of a real package
    assert "py.test" in Registry[object]("script", {}, group="console_scripts")
