from __future__ import annotations

from scanproof.tracking.params import flatten


def test_leaves_keep_their_path() -> None:
    definition = {"a": {"b": {"c": 1.5}}, "d": [1, 2], "e": None, "f": True, "g": "text", "h": {}, "i": []}
    assert flatten(definition) == {
        "a.b.c": "1.5",
        "d": "[1, 2]",
        "e": "null",
        "f": "true",
        "g": "text",
        "i": "[]",
    }


def test_entries_of_one_name_are_told_apart_by_their_place() -> None:
    definition = {"methods": [{"name": "unet", "epochs": 1}, {"name": "unet", "epochs": 2}, {"name": "tv"}]}
    assert flatten(definition) == {
        "methods.0.name": "unet",
        "methods.0.epochs": "1",
        "methods.1.name": "unet",
        "methods.1.epochs": "2",
        "methods.tv.name": "tv",
    }


def test_names_that_mlflow_refuses_are_made_safe() -> None:
    assert flatten({"a/b (c)": {"ü=1": 2}}) == {"a_b _c_.ü_1": "2"}


def test_long_values_are_cut_to_the_limit() -> None:
    assert len(flatten({"text": "x" * 9000})["text"]) == 6000
