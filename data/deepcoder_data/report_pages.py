"""What the pages of reports have in common: each is one file of HTML, filled in from a template of its room."""

from __future__ import annotations

import jinja2


def page_environment(package: str, folder: str) -> jinja2.Environment:
    """The environment of the templates in `folder` of `package`: escaped, strict, with the filter `number`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment


def short_number(value: int) -> str:
    """A number as it is written under a bar: 950, 1k, 2.5M."""
    for power, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= power:
            return f"{value / power:.3g}{letter}"
    return str(value)


def end_of(text: str, longest: int) -> str:
    """The last `longest` characters of a text, and before them how many were left out."""
    cut = len(text) - longest
    return f"… {cut} characters before …\n{text[cut:]}" if cut > 0 else text
