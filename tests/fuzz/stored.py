"""Saved models, models of others, and entries of the store."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import yaml

from fuzz.mutate import LARGE, NUMBERS, edit, mutate


def _state() -> dict[str, np.ndarray]:
    import torch

    from scanproof.reconstruction.unet import ResidualUnet

    torch.manual_seed(1)
    return {name: tensor.numpy() for name, tensor in ResidualUnet([2, 2, 2, 2, 2, 2]).state_dict().items()}


def odd_safetensors(data: bytes, rng: Random) -> bytes:
    """A file of weights whose header was changed."""
    size = struct.unpack("<Q", data[:8])[0]
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    deed = rng.random()
    if deed < 0.3:
        return mutate(data, rng)
    if deed < 0.6:
        name = rng.choice(list(header))
        key = rng.choice(("dtype", "shape", "data_offsets"))
        value = {"dtype": rng.choice(("F64", "BF16", "F8_E4M3", "X", 1)), "shape": [rng.choice((*NUMBERS, *LARGE))] * 2}
        header[name] = {**header[name], key: value.get(key, [rng.choice(NUMBERS), rng.choice(LARGE)])}
    elif deed < 0.9:
        header = edit(header, rng)
    text = json.dumps(header).encode()
    length = len(text) if deed < 0.95 else rng.choice((0, 2**31, 2**63, 10**9))
    return struct.pack("<Q", length) + text + rest


class SavedModel:
    """Folders of saved reconstructions; hashes are those of what lies there."""

    def __init__(self, base: Path) -> None:
        from safetensors.numpy import save

        from scanproof.study.saved_model import hash_weights

        state = _state()
        self.weights = save(state)
        self.description = {
            "format": 1,
            "method": "unet",
            "options": {"features": [2, 2, 2, 2, 2, 2], "epochs": 1},
            "seed": 7,
            "sampling": {"mask": "equispaced", "acceleration": 2.0, "center_fraction": 0.08, "dimensions": 2},
            "data_sha256": {"north": "ab" * 32},
            "model_sha256": hash_weights(state),
            "training_seed": 0,
            "study": "small",
            "study_sha256": "cd" * 32,
            "code_version": "0.1.0",
        }

    def make(self, rng: Random, folder: Path) -> Path:
        model = folder / "model"
        model.mkdir()
        weights = odd_safetensors(self.weights, rng) if rng.random() < 0.5 else self.weights
        (model / "weights.safetensors").write_bytes(weights)
        description = {**self.description, "weights_sha256": hashlib.sha256(weights).hexdigest()}
        content: object = {"flavors": {"scanproof": description}}
        if rng.random() < 0.6:
            content = edit(content, rng)
        try:
            text = yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")
        except ValueError:
            text = b"flavors: {scanproof: {seed: 0x" + b"f" * 5000 + b"}}\n"
        (model / "MLmodel").write_bytes(mutate(text, rng) if rng.random() < 0.2 else text)
        return model

    def read(self, path: Path) -> None:
        from scanproof.study.model_source import ModelSource

        source = ModelSource(root=path.parent)
        source.find(str(path), base=path.parent)


class External:
    """Files of models of others."""

    def __init__(self, base: Path) -> None:
        import torch
        from safetensors.numpy import save

        state = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.valid = [buffer.getvalue(), save({name: one.numpy() for name, one in state.items()})]
        bundle = io.BytesIO()
        with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("b/configs/metadata.json", "{}")
            archive.writestr("b/models/model.pt", bytes(2**24))
        self.valid.append(bundle.getvalue())

    def make(self, rng: Random, folder: Path) -> Path:
        data = rng.choice(self.valid)
        path = folder / "input.pt"
        path.write_bytes(odd_safetensors(data, rng) if data[8:9] == b"{" else mutate(data, rng, other=self.valid[0]))
        return path

    def read(self, path: Path) -> None:
        from scanproof.study.external_model import find_external

        definition = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}
        found = find_external(str(path), path, name="other", definition=definition, trusted=frozenset())
        found.open()


class StoreEntry:
    """Entries of the store: damaged, or with hashes of what lies there."""

    key = "ab" * 32

    def __init__(self, base: Path) -> None:
        import pandas as pd

        from scanproof.study.store import Payload, Store

        store = Store(base / "store")
        table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
        payload = Payload(arrays={"x": np.ones((2, 2), np.float32)}, tables={"t": table}, facts={"n": 1})
        store.put(self.key, payload, task={"kind": "test"})
        self.files = {path.name: path.read_bytes() for path in (base / "store" / "ab" / self.key).iterdir()}

    def make(self, rng: Random, folder: Path) -> Path:
        place = folder / "store" / "ab" / self.key
        place.mkdir(parents=True)
        files = dict(self.files)
        for _ in range(rng.randint(1, 3)):
            name = rng.choice(list(files))
            odd = odd_safetensors if name.endswith(".safetensors") else mutate
            files[name] = odd(files[name], rng) if rng.random() < 0.9 else b""
        if rng.random() < 0.7:
            entry = json.loads(self.files["entry.json"])
            entry["sha256"] = {n: hashlib.sha256(files[n]).hexdigest() for n in entry["sha256"]}
            files["entry.json"] = json.dumps(edit(entry, rng) if rng.random() < 0.3 else entry).encode()
        for name, data in files.items():
            (place / name).write_bytes(data)
        return folder / "store"

    def read(self, path: Path) -> None:
        from scanproof.study.store import Store

        Store(path).get(self.key)
