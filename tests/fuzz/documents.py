"""YAML that people write: studies, sweeps, simulations, protocols, plans and presets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random
from typing import ClassVar

import yaml

from fuzz.mutate import TEXTS, edit, mutate, odd_value

HOME = Path(__file__).resolve().parents[2]

#: YAML that is short, and large, odd or endless once it is read
SNIPPETS = (
    "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)),
    "a: &a {k: 1}\n"
    + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 40)}]}}\n" for a, b in zip("abcde", "bcdef", strict=True)),
    "a: &a [*a]\n",
    "a: &a {b: *a}\n",
    "<<: &a {<<: *a}\n",
    "name: !!python/object/apply:os.system ['true']\n",
    "name: !!bool maybe\n",
    "name: !!int ''\n",
    "name: !!int x\n",
    "name: !!float x\n",
    "name: !!timestamp yesterday\n",
    "name: 2024-13-45\n",
    "name: !!binary x\n",
    "name: !!set {a, b}\n",
    "name: !!omap [a: 1]\n",
    "name: !!null x\n",
    "name: !!str [a]\n",
    "name: !unknown x\n",
    "seed: 0x" + "f" * 9000 + "\n",
    "seed: " + "9" * 5000 + "\n",
    "seed: " + "1:" * 3000 + "1\n",
    "? [a]\n: b\n",
    "? {a: b}\n: c\n",
    "name: a\nname: b\n",
    "'': 1\n",
    "1: 2\n",
    "null: 3\n",
    "2024-01-01: 3\n",
    "\tname: a\n",
    "a: *nowhere\n",
    "%YAML 9.9\n---\na: 1\n",
    "a: 1\n---\nb: 2\n",
    "--- |\n text\n",
    "[" * 5000,
    "{a: " * 3000,
    "- " * 3000 + "\n",
    "a: " + "[" * 200 + "]" * 200 + "\n",
    "a: " + "{b: " * 120 + "1" + "}" * 120 + "\n",
    "a: 'never closed\n",
    'a: "\\ud800"\n',
    'a: "\\x00"\n',
    "# " + "x" * 100_000 + "\n",
    "".join(f"key{n}: {n}\n" for n in range(3000)),
)


class _Document:
    """Valid files of a kind, edited as documents, as text or as bytes."""

    sources: ClassVar[tuple[str, ...]] = ()
    suffix: ClassVar[str] = ".yaml"

    def __init__(self, base: Path) -> None:
        found = [path for pattern in self.sources for path in sorted(HOME.glob(pattern))]
        self.texts = [path.read_bytes() for path in found]
        self.documents = [yaml.safe_load(text) for text in self.texts]

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / f"input{self.suffix}"
        number = rng.randrange(len(self.texts))
        deed = rng.random()
        if deed < 0.6:
            document = self.documents[number]
            for _ in range(rng.choice((1, 1, 2, 4))):
                document = edit(document, rng)
            path.write_bytes(self.written(document, rng))
        elif deed < 0.8:
            path.write_bytes(mutate(self.texts[number], rng, other=rng.choice(self.texts)))
        else:
            path.write_bytes(self._with_snippet(self.texts[number], rng))
        return path

    def written(self, document: object, rng: Random) -> bytes:
        """A document as YAML."""
        return _dump(document)

    def _with_snippet(self, text: bytes, rng: Random) -> bytes:
        snippet = rng.choice(SNIPPETS).encode("utf-8", "surrogatepass")
        lines = text.splitlines(keepends=True)
        at = rng.randint(0, len(lines))
        return rng.choice((snippet, snippet + text, b"".join([*lines[:at], snippet, *lines[at:]])))

    def read(self, path: Path) -> None:
        raise NotImplementedError


class StudyFile(_Document):
    """Study files."""

    sources = ("studies/*.yaml", "protocols/*/study.yaml")

    def read(self, path: Path) -> None:
        from scanproof.study.load import load_study
        from scanproof.study.model_source import ModelSource
        from scanproof.study.run import definition_hash

        definition_hash(load_study(path, models=ModelSource(root=path.parent)))


class ScalingFile(_Document):
    """Files of sweeps."""

    sources = ("studies/scaling_laws*.yaml",)

    def read(self, path: Path) -> None:
        from scanproof.scaling.load import load_sweep

        load_sweep(path)


class TheoryFile(_Document):
    """Files of simulations."""

    sources = ("studies/scaling_theory.yaml",)

    def read(self, path: Path) -> None:
        from scanproof.scaling.theory.run import load_theory

        load_theory(path)


class ProtocolFile(_Document):
    """Frozen protocols; most have the hash of what they say."""

    sources = ("protocols/*.yaml",)

    def written(self, document: object, rng: Random) -> bytes:
        from scanproof.protocol.definition import protocol_hash

        if isinstance(document, dict) and rng.random() < 0.8:
            with suppress(TypeError, ValueError, yaml.YAMLError):
                document = {**document, "protocol_sha256": protocol_hash(yaml.safe_load(_dump(document)))}
        return _dump(document)

    def read(self, path: Path) -> None:
        from scanproof.protocol.exchange.places import read_identity
        from scanproof.protocol.file import read_protocol

        read_identity(path)
        read_protocol(path)


class PlanFile(_Document):
    """What is agreed on before a study is frozen."""

    sources = ("protocols/*/plan.yaml",)

    def read(self, path: Path) -> None:
        from scanproof.protocol.plan import read_plan

        read_plan(path)


class PresetFile(_Document):
    """Settings of un-trained methods, as tuning writes them."""

    def __init__(self, base: Path) -> None:
        preset = {"channels": 16, "layers": 3, "iterations": 50, "learning_rate": 0.01, "norm": "batch", "loss": "mse"}
        self.documents = [preset, {"preset": "default", **preset}, {"input_size": [8, 4], "output": "coils"}]
        self.texts = [_dump(document) for document in self.documents]

    def read(self, path: Path) -> None:
        from scanproof.tuning.settings import make_settings, read_assignments

        make_settings("conv_decoder", preset=path, fixed=read_assignments(["iterations=20"]))


class AnyYaml(_Document):
    """Text that has nothing to do with any form."""

    def __init__(self, base: Path) -> None:
        self.texts = [snippet.encode("utf-8", "surrogatepass") for snippet in SNIPPETS]

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / "input.yaml"
        deed = rng.random()
        if deed < 0.4:
            path.write_bytes(_dump(odd_value(rng)))
        elif deed < 0.7:
            path.write_bytes(mutate(rng.choice(self.texts), rng, other=rng.choice(self.texts)))
        elif deed < 0.9:
            marks = (*"{}[]:,-?&*!|>'\"%@`#\n\t \\", "<<", "- ", ": ", "a", "1", "&a ", "*a ", "!!int ", "---\n")
            path.write_text("".join(rng.choice(marks) for _ in range(rng.randint(1, 60))))
        else:
            path.write_bytes(rng.choice((rng.randbytes(200), *(t.encode("utf-8", "surrogatepass") for t in TEXTS))))
        return path

    def read(self, path: Path) -> None:
        from scanproof.study.reading import read_yaml

        read_yaml(path)


def _dump(document: object) -> bytes:
    try:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10**6)
    except ValueError:  # a number too long to be written in tens
        text = yaml.safe_dump(_hexadecimal(document), sort_keys=False).replace("'0x", "0x").replace("f'", "f")
    return text.encode("utf-8", "surrogatepass")


def _hexadecimal(value: object) -> object:
    if isinstance(value, dict):
        return {_hexadecimal(key): _hexadecimal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_hexadecimal(one) for one in value]
    return "0x" + "f" * 3400 if isinstance(value, int) and abs(value) > 10**3000 else value
