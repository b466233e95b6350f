"""The public names of the room."""

from __future__ import annotations

import subprocess
import sys

import recsec.data


def test_names_are_sorted_and_exist() -> None:
    names = recsec.data.__all__
    plain = sorted(names, key=lambda name: (not name.isupper(), name))
    assert names == plain
    assert all(hasattr(recsec.data, name) for name in names)


def test_reading_data_needs_neither_torch_nor_matplotlib() -> None:
    program = (
        "import sys, recsec.data, recsec.cli.data\n"
        "heavy = {'torch', 'matplotlib', 'requests', 'pooch'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
