"""Finding a model of another origin, and asking whether it may be opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from scanproof.errors import ScanproofError
from scanproof.external.files import ModelFiles, read_files
from scanproof.external.trust import check_definition, executes

if TYPE_CHECKING:
    from scanproof.external.network import Network


#: method of reconstructions of another origin
OTHERS = "external"


@dataclass(frozen=True)
class ExternalModel:
    """A model of another origin that was found and may be opened.

    Args:
        reference: as the study names it, a version where it named an alias, or the path.
        path: where it lies.
        sha256: hash of its files.
        files: their content.
        definition: of the network, where the files are weights alone.
        reason: why it executes code when it is opened, which the user trusts; None where it does not.
    """

    reference: str
    path: Path
    sha256: str
    files: ModelFiles
    definition: Mapping[str, object] | None = None
    reason: str | None = None

    def open(self) -> Network:
        """The network; see :func:`scanproof.study.open_model.open_model`."""
        from scanproof.study.open_model import open_model

        try:
            return open_model(self.files, self.definition)
        except ScanproofError as error:
            raise ScanproofError(
                error.rule, file=self.path, key=error.key, value=error.value, hint=error.hint
            ) from None


def find_external(
    reference: str, path: Path, *, name: str, definition: object, trusted: frozenset[str]
) -> ExternalModel:
    """Read a model, and refuse it where it would execute code and nobody trusts it.

    Args:
        reference: as the study names it.
        path: where it lies.
        name: of the entry in the study.
        definition: ``_target_`` and arguments of the network, for weights alone.
        trusted: names of entries, references, paths or hashes of models that may execute code.

    Raises:
        ScanproofError: see :func:`~scanproof.external.files.read_files` and
            :func:`~scanproof.external.trust.executes`; or it is not trusted.
    """
    files = read_files(path)
    network = cast("Mapping[str, object] | None", definition)
    alone = files.format in ("state_dict", "safetensors")
    if alone:
        check_definition(network)
    elif definition is not None:
        raise ScanproofError("must be left out, for the model holds its network", key="network_def", value=definition)
    sha256 = files.sha256
    known = {name, reference, str(path), str(path.resolve()), sha256}
    # a class is imported only after its package is known or trusted
    reason = executes(files.format, network)
    if reason is not None and not known & trusted:
        raise ScanproofError(
            "must be trusted to be opened, because that executes code",
            file=path,
            value=reason,
            hint=f"if you know where it comes from: --trust {name} (sha256 {sha256})",
        )
    return ExternalModel(reference, path, sha256, files, network if alone else None, reason)


def with_external(plan: Mapping[str, object], external: ExternalModel) -> dict[str, object]:
    """An entry of a reconstruction with what can be seen of a model of another origin.

    Args:
        plan: the entry; its options say what the model takes
            (:class:`scanproof.reconstruction.external.ExternalReconstructor`).
        external: the model.

    Raises:
        ScanproofError: the entry says something about training or another method, or names another hash.
    """
    definition = json.dumps(external.definition, sort_keys=True) if external.definition else ""
    own = {"format": external.files.format, "definition": definition}
    given = plan.get("options") or {}
    options: dict[str, object] = {"takes": "image", "scale": True, **(given if isinstance(given, dict) else {})}
    expected: dict[str, object] = {
        "method": OTHERS,
        "model_sha256": external.sha256,
        "weights_from": None,
        "training_seed": 0,
        **{f"options.{key}": value for key, value in own.items()},
    }
    stated = {**plan, **{f"options.{key}": value for key, value in options.items()}}
    for key, value in expected.items():
        if stated.get(key) not in (None, value):
            rule = f"must be left out beside the model of somebody else, or be {value!r}"
            raise ScanproofError(rule, key=key, value=stated[key])
    filled = {"method": OTHERS, "options": {**options, **own}, "model_sha256": external.sha256}
    return {**plan, **filled, "model": external.reference}
