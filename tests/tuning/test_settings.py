from __future__ import annotations

from pathlib import Path

import pytest

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.reconstructors import ConvDecoder, DeepDecoder
from scanproof.tuning.settings import make_settings, read_assignments
from scanproof.tuning.space import decode, encode


@pytest.mark.parametrize("method", ["conv_decoder", "deep_decoder", "deep_image_prior"])
def test_the_default_lies_in_every_space_and_builds_the_default(method: str) -> None:
    found = make_settings(method, fixed={})
    assert decode(encode(found.start, found.space), found.space) == found.start
    default, built = type(found.build(found.start))(), found.build(found.start)
    assert built.options == default.options
    assert built.output == default.output
    assert {k: v for k, v in built.network_options.items() if k in default.network_options} == default.network_options


def test_what_a_preset_leaves_open_does_not_come_from_the_named_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("channels: 48\n")
    found = make_settings("deep_decoder", preset=path, fixed={})
    alone = DeepDecoder(preset=path)
    assert found.build(found.start).options == alone.options
    assert alone.options.iterations != DeepDecoder().options.iterations


def test_a_published_preset_can_be_the_start() -> None:
    with pytest.raises(ScanproofError, match="amplitude: search must start from a number, got None"):
        make_settings("conv_decoder", preset="published_brain", fixed={})
    found = make_settings("conv_decoder", preset="published_brain", fixed={"amplitude": None, "iterations": 100})
    built = found.build(found.start)
    assert (built.options.consistency, built.options.amplitude, built.options.iterations) == (1.0, None, 100)
    assert built.network_options["layers"] == ConvDecoder(preset="published_brain").network_options["layers"]


@pytest.mark.parametrize(
    ("method", "fixed", "text"),
    [
        ("conv_decodr", {}, "unknown reconstruction, got 'conv_decodr'.*did you mean 'conv_decoder'"),
        ("zero_filled", {}, "method must be an un-trained network.*can be tuned: conv_decoder, deep_decoder, deep_ima"),
        ("conv_decoder", {"iteration": 3}, "unknown option of conv_decoder.*did you mean 'iterations'"),
        ("conv_decoder", {"ensemble": 3}, "--set: option cannot be part of a preset, got 'ensemble'"),
        ("conv_decoder", {"iterations": 0}, "iterations must be at least 1, got 0"),
        ("conv_decoder", {"iterations": "many"}, "options of conv_decoder: values must have the right types"),
        ("conv_decoder", {"norm": "batches"}, "unknown norm"),
    ],
)
def test_wrong_settings(method: str, fixed: dict[str, object], text: str) -> None:
    with pytest.raises(ScanproofError, match=text):
        make_settings(method, fixed=fixed)


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["iterations"], "must have the form NAME=VALUE, got 'iterations'"),
        (["a=1", "a=2"], "option must be given once, got 'a'"),
        (["a=[1"], r"value must be YAML, got 'a=\[1'"),
    ],
)
def test_wrong_assignments(texts: list[str], error: str) -> None:
    with pytest.raises(ScanproofError, match=error):
        read_assignments(texts)


def test_assignments_have_types() -> None:
    texts = ["a=true", "b=null", "c=1e-4", "d=7", "e=[8, 4]", "f=l1", "g=0.5"]
    assert list(read_assignments(texts).values()) == [True, None, 1e-4, 7, (8, 4), "l1", 0.5]
