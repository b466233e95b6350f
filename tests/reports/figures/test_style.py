"""The style sheet: colors that can be read, in both themes and on paper."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from recsec.reports.figures.style import GRID, INK, MUTED, OKABE_ITO

CSS = files("recsec.reports").joinpath("templates/report.css").read_text("utf-8")


def themes() -> dict[str, dict[str, str]]:
    """The variables of each theme; later ones start from the light one."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    names = ("light", "dark", "print")
    found = [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{3,6})", block)) for block in blocks]
    return dict(
        zip(names, [found[0], *({**found[0], **other} for other in found[1:])], strict=True)
    )


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    digits = color.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, two: str) -> float:
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("background", ["--paper", "--panel"])
def test_text_has_enough_contrast(theme: str, background: str) -> None:
    colors = themes()[theme]
    for name in ("--ink", "--muted", "--high", "--moderate", "--low", "--incomplete", "--info"):
        assert contrast(colors[name], colors[background]) >= 4.5, name


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_ink_can_be_read_on_marked_rows(theme: str) -> None:
    colors = themes()[theme]
    for background in ("--mark", "--warn"):
        assert contrast(colors["--ink"], colors[background]) >= 4.5


def test_figures_and_page_agree_on_the_light_theme() -> None:
    light = themes()["light"]
    assert [light[f"--series-{i}"] for i in range(len(OKABE_ITO))] == list(OKABE_ITO)
    assert (light["--ink"], light["--muted"], light["--grid"]) == (INK, MUTED, GRID)
