"""A protocol's study on the data of one site."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import ALL_SITES
from scanproof.protocol.definition import Protocol
from scanproof.study.data_plans import SiteData
from scanproof.study.definition import Study
from scanproof.study.load import resolve_study
from scanproof.study.model_source import ModelSource

_LONGEST_NAME = 80


def site_study(
    protocol: Protocol,
    path: Path,
    *,
    data: Path,
    site: str,
    manifest: Path | None = None,
    models: ModelSource | None = None,
) -> Study:
    """The study that a protocol has a site run: all of its subjects are tested, none is learned from.

    Args:
        protocol: that was read.
        path: its file, beside which the models lie.
        data: folder of the site.
        site: its name, whatever the manifest calls it.
        manifest: of the folder; default ``cohort.csv`` in it.
        models: where registered models are looked up.

    Raises:
        ScanproofError: a name that no site can have, data of another kind, or what
            :func:`~scanproof.study.load.resolve_study` refuses.
    """
    check_site(site)
    study = resolve_study(dict(protocol.study), path=path, data=data, manifest=manifest, models=models)
    if study.data.kind != protocol.study["data"]["kind"] or not isinstance(study.data, SiteData):
        rule = f"data must be {protocol.study['data']['kind']}, for which the protocol was frozen"
        raise ScanproofError(rule, file=data, value=study.data.kind, hint="see the column path of the manifest")
    return study.model_copy(update={"data": study.data.tested_at(site)})


def check_site(site: str) -> str:
    """The name of a site, if it may stand in results.

    Raises:
        ScanproofError: empty, too long, not printable, or the name of the mean over sites.
    """
    if not site.strip() or site != site.strip() or not site.isprintable() or len(site) > _LONGEST_NAME:
        rule = f"name of a site must be 1 to {_LONGEST_NAME} printable characters, without spaces at its ends"
        raise ScanproofError(rule, key="--site", value=site)
    if site.lower() == ALL_SITES:
        raise ScanproofError("name of a site is taken by the summary over sites", key="--site", value=site)
    return site


def site_slug(site: str) -> str:
    """The name of a site as that of a folder.

    Letters of other alphabets cannot stand in it, so that a few digits of a hash tell such names apart.

    Example:
        >>> site_slug("St. Elsewhere"), site_slug("Universitätsspital Zürich"), site_slug("北京")
        ('st-elsewhere', 'universitatsspital-zurich', 'site-68c77e15')
    """
    folded = unicodedata.normalize("NFKD", site)
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if slug and plain.isascii():
        return slug
    digest = hashlib.sha256(unicodedata.normalize("NFC", site).encode()).hexdigest()[:8]
    return f"{slug or 'site'}-{digest}"
