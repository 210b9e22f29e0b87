"""Raw data in HDF5: fastMRI and ISMRMRD, whose datasets may claim and link to anything."""

from __future__ import annotations

from pathlib import Path
from random import Random

import h5py
import numpy as np

from fuzz.mutate import NUMBERS, TEXTS, mutate
from kspace_files import write_fastmri, write_ismrmrd, xml_header

_SIZES = (0, 1, 2, 3, 8, 2**16, 2**20, 2**31, 2**40)
_TYPES = ("c8", "c16", "f4", "f8", "i8", "u1", "S8", "S100000", "V5", "?")


def odd_header(rng: Random) -> bytes:
    """An XML header with one thing wrong."""
    return _as_bytes(_odd_text(rng))


def _as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _odd_text(rng: Random) -> str | bytes:
    text = xml_header((8, 8), trajectory=rng.choice(("cartesian", "cartesian", "radial", "")))
    number = rng.choice((*map(str, NUMBERS), "nan", "inf", "-1e400", "1e9", "8.5", "x", "", "9" * 5000))
    deed = rng.random()
    if deed < 0.3:
        return mutate(text.encode(), rng)
    if deed < 0.6:
        at = rng.choice([k for k in range(len(text)) if text[k : k + 2] == ">8"])
        return text[: at + 1] + number + text[at + 2 :]
    if deed < 0.7:
        return rng.choice(("<a>" * 20_000, "<a " + "b='1' " * 10_000 + "/>", "", " ", *TEXTS[:20]))
    if deed < 0.8:
        entity = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>'
        return rng.choice((entity, entity.encode("utf-16"), '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'))
    return text.replace("<encoding>", "<encoding><x>1</x>", 1).replace("<center>4", f"<center>{number}")


def odd_dataset(group: h5py.Group, name: str, rng: Random) -> None:
    """A dataset of any form, link or group under a name."""
    group.pop(name, None)
    deed = rng.randrange(9)
    if deed == 0:
        target = rng.choice(("/etc/passwd", "../outside.h5", "input.h5", "/dev/zero", "missing.h5"))
        group[name] = h5py.ExternalLink(target, rng.choice(("kspace", "/")))
    elif deed == 1:
        group[name] = h5py.SoftLink(rng.choice((f"/{name}", "/", "/nowhere", ".", "other")))
    elif deed == 2:
        layout = h5py.VirtualLayout(shape=(2, 2, 8, 8), dtype="c8")
        layout[:] = h5py.VirtualSource("../outside.h5", "kspace", shape=(2, 2, 8, 8))
        group.create_virtual_dataset(name, layout)
    elif deed == 3:
        where = [(str(rng.choice(("/etc/passwd", "missing.raw"))), 0, 2 * 2 * 8 * 8 * 8)]
        group.create_dataset(name, shape=(2, 2, 8, 8), dtype="c8", external=where)
    elif deed == 4:
        group.create_group(name)
    elif deed == 5:
        group.create_dataset(name, dtype=rng.choice(("c8", "f4")), data=h5py.Empty("f4"))
    elif deed == 6:
        shape = tuple(rng.choice(_SIZES) for _ in range(rng.randint(1, 5)))
        chunks = tuple(min(max(n, 1), 32) for n in shape)
        options = rng.choice(({}, {"compression": "gzip"}, {"shuffle": True, "compression": "gzip"}))
        group.create_dataset(name, shape=shape, maxshape=(None,) * len(shape), chunks=chunks, dtype="c8", **options)
    elif deed == 7:
        chunk = (1, 8, 2048, 2048)
        group.create_dataset(name, shape=chunk, chunks=chunk, dtype="c8", compression="gzip")
    else:
        kind = rng.choice(_TYPES)
        group.create_dataset(name, data=np.ones(tuple(rng.choice((1, 2, 8)) for _ in range(4))).astype(kind))


class _Raw:
    """Valid files, damaged as bytes or with odd datasets."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.valid = [path.read_bytes() for path in self.write()]

    def write(self) -> list[Path]:
        """Valid files."""
        raise NotImplementedError

    def change(self, file: h5py.File, rng: Random) -> None:
        """Make something in a valid file odd."""
        raise NotImplementedError

    def make(self, rng: Random, folder: Path) -> Path:
        path = folder / "input.h5"
        deed = rng.random()
        data = rng.choice(self.valid)
        path.write_bytes(mutate(data, rng, other=rng.choice(self.valid)) if deed < 0.4 else data)
        if deed >= 0.4:
            with h5py.File(path, "r+") as file:
                self.change(file, rng)
        if 0.8 < deed < 0.9:
            path.write_bytes(mutate(path.read_bytes(), rng))
        return path

    def read(self, path: Path) -> None:
        from scanproof.data.kspace import kspace_reader

        reader = kspace_reader(path)
        header = reader.header(path)
        reader.read(path, sorted({0, header.shape[0] // 2}))


class FastMri(_Raw):
    """fastMRI HDF5."""

    def write(self) -> list[Path]:
        random = np.random.default_rng(1)
        made = []
        for number, shape in enumerate(((2, 3, 8, 8), (2, 8, 8))):
            values = (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(np.complex64)
            mask = np.ones(8, bool) if number else None
            made.append(
                write_fastmri(self.base / f"{number}.h5", values, mask=mask, attributes={"acquisition": "AXT2"})
            )
        return made

    def change(self, file: h5py.File, rng: Random) -> None:
        deed = rng.random()
        if deed < 0.5:
            odd_dataset(file, rng.choice(("kspace", "kspace", "mask", "ismrmrd_header")), rng)
        elif deed < 0.8:
            del file["ismrmrd_header"]
            text = odd_header(rng)
            file["ismrmrd_header"] = np.bytes_(text) if rng.random() < 0.5 else [np.bytes_(text)]
        elif deed < 0.9:
            file.attrs["acquisition"] = rng.choice((1, np.ones(3), b"AXT2", h5py.Empty("f4"), "x" * 60_000))
        else:
            values = file["kspace"][:]
            values.reshape(-1)[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, 1e38, 0))
            file["kspace"][:] = values * rng.choice((1, 0, 1e-44, 1e38))


class Ismrmrd(_Raw):
    """ISMRMRD HDF5."""

    def write(self) -> list[Path]:
        random = np.random.default_rng(2)

        def line(number: int, flags: tuple[str, ...] = ()) -> dict[str, object]:
            values = random.normal(size=(2, 8)) + 1j * random.normal(size=(2, 8))
            return {"data": values, "line": number, "flags": flags}

        plain = [line(k) for k in range(8)]
        noisy = [line(0, ("IS_NOISE_MEASUREMENT",)), *plain]
        header = xml_header((8, 8))
        return [
            write_ismrmrd(self.base / f"{number}.h5", lines, header=header)
            for number, lines in enumerate((plain, noisy))
        ]

    def change(self, file: h5py.File, rng: Random) -> None:
        group = file["dataset"]
        deed = rng.random()
        if deed < 0.25:
            odd_dataset(group, rng.choice(("data", "xml")), rng)
        elif deed < 0.3:
            odd_dataset(file, rng.choice(("dataset", "other")), rng)
        elif deed < 0.5:
            del group["xml"]
            group["xml"] = [np.bytes_(odd_header(rng))]
        elif deed < 0.6:
            kept = rng.choice((["head"], ["data"], ["head", "traj"], []))
            old = group["data"]
            kind = [(name, old.dtype[name]) for name in kept] or "f4"
            del group["data"]
            group.create_dataset("data", shape=(4,), dtype=np.dtype(kind))
        elif deed < 0.7:
            kind = group["data"].dtype
            del group["data"]
            size = rng.choice((0, 1, 2**20, 2**24, 2**40))
            group.create_dataset("data", shape=(size,), maxshape=(None,), chunks=(64,), dtype=kind)
        else:
            lines = group["data"][:]
            for _ in range(rng.randint(1, 3)):
                at = rng.choice((slice(None), rng.randrange(len(lines))))
                name = rng.choice([n for n in lines["head"].dtype.names if lines["head"].dtype[n].kind in "iuf"])
                value = rng.choice(NUMBERS)
                if lines["head"].dtype[name].kind != "f":
                    value = value % 2 ** min(31, 8 * lines["head"].dtype[name].base.itemsize - 1)
                if rng.random() < 0.4:
                    name = rng.choice([n for n in lines["head"]["idx"].dtype.names if n != "user"])
                    lines["head"]["idx"][name][at] = value % 2**15
                else:
                    lines["head"][name][at] = value
            group["data"][:] = lines
