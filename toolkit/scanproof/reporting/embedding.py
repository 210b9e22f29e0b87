"""What pages that need no other file have in common: their resources, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from jinja2 import Environment


def resource(name: str, package: str = "scanproof.reporting") -> str:
    """The text of a file among a package's templates."""
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")


def page_environment(
    package: str = "scanproof.reporting", *, filters: Mapping[str, Callable[..., object]], last_newline: bool = False
) -> Environment:
    """What renders a package's templates: everything is escaped, and a name that is missing is an error.

    Args:
        package: whose templates; they may use those of reports, too.
        filters: name to function.
        last_newline: keep the one at a template's end.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _template(name, package)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=last_newline,
    )
    environment.filters |= filters
    return environment


def _template(name: str, package: str) -> str | None:
    """A template of a package, else of reports."""
    for place in (package, "scanproof.reporting"):
        if files(place).joinpath("templates", name).is_file():
            return resource(name, place)
    return None


def script_text(text: str) -> str:
    r"""Script text that can stand inside an HTML script element and whose hash the browser will agree on.

    Raises:
        ScanproofError: text that ends the element.

    Example:
        >>> script_text("1;\r\n2;")
        '1;\n2;'
    """
    if "</script" in text.lower() or "<!--" in text:
        raise ScanproofError("an embedded script must not end its own element", key="script", value=text[:60])
    return text.replace("\r\n", "\n")


def content_policy(scripts: Sequence[str]) -> str:
    """A content security policy that allows these scripts, pictures inside the file, and nothing else.

    Example:
        >>> content_policy(["1;"]).split("; ")[1]
        "script-src 'sha256-CImjRDTlhukYQ2AnxOi0wzgPhGQ3Mb3rVwJK24dFz1M='"
    """
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    rules = (
        "default-src 'none'",
        f"script-src {allowed}",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)
