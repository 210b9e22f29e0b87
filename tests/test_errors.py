import pickle

import pytest

from scanproof.errors import ScanproofError, unknown_name


def test_text_names_file_key_rule_and_value() -> None:
    error = ScanproofError("severity must be in [0, 5]", file="a.yaml", key="shifts[0].severity", value=7)
    assert str(error) == "a.yaml: shifts[0].severity: severity must be in [0, 5], got 7"


def test_text_is_one_line() -> None:
    assert "\n" not in str(ScanproofError("first\nsecond", value="a\nb", hint="do\nthis"))


@pytest.mark.parametrize("value", [7, "text", None, [1, 2]])
def test_survives_the_way_between_processes(value: object) -> None:
    error = ScanproofError("rule", file="f", key="k", value=value, hint="h")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert str(copy) == str(error)
    assert (copy.rule, copy.file, copy.key, copy.value, copy.hint) == ("rule", "f", "k", value, "h")


def test_subclass_survives_too() -> None:
    class SpecialError(ScanproofError):
        pass

    globals()["SpecialError"] = SpecialError
    SpecialError.__qualname__ = "SpecialError"
    assert type(pickle.loads(pickle.dumps(SpecialError("rule")))) is SpecialError  # noqa: S301


def test_unknown_name_lists_what_exists_and_the_nearest() -> None:
    text = str(unknown_name("shift", "ghostng", ["ghosting", "bias_field"], file="s.yaml", key="shifts[0].name"))
    expected = "unknown shift, got 'ghostng' (did you mean 'ghosting'? known: bias_field, ghosting)"
    assert text == f"s.yaml: shifts[0].name: {expected}"
