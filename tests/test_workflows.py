"""The workflow files: valid for their systems, and their shell runs as far as a shell can."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from recsec.cli.main import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[1]
GITHUB = [ROOT / ".github/workflows/release.yml", ROOT / "examples/ci/github-actions.yml"]
GITLAB = ROOT / "examples/ci/gitlab-ci.yml"
RUNS = ROOT / "examples" / "runs"


def steps(path: Path) -> list[str]:
    """Every piece of shell in a workflow."""
    found: Any = yaml.safe_load(path.read_text())
    if path == GITLAB:
        return [*found["recsec"]["script"], *found["recsec"]["after_script"]]
    return [step["run"] for job in found["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", [*GITHUB, GITLAB], ids=lambda path: path.name)
def test_it_fits_the_schema_of_its_system(path: Path) -> None:
    kit = find_spec("check_jsonschema")
    if kit is None or kit.origin is None:
        pytest.skip("check-jsonschema is not installed: it carries the schemas")
    name = "gitlab-ci.json" if path == GITLAB else "github-workflows.json"
    schema = Path(kit.origin).parent / "builtin_schemas" / "vendor" / name
    document = yaml.safe_load(path.read_text())
    document = {("on" if key is True else key): value for key, value in document.items()}
    jsonschema.validate(document, json.loads(schema.read_text()))


@pytest.mark.parametrize("path", [*GITHUB, GITLAB], ids=lambda path: path.name)
def test_the_shell_parses_and_its_commands_exist(path: Path) -> None:
    for text in steps(path):
        plain = text.replace("${{", "").replace("}}", "")
        subprocess.run(["bash", "-n", "-c", plain], check=True)
        for line in text.splitlines():
            if not line.strip().startswith("recsec "):
                continue
            _, name, *words = shlex.split(line)
            assert name in COMMANDS
            known = {one for given in load_command(name).params for one in given.opts}
            assert {word for word in words if word.startswith("--")} <= known, line


def test_the_comparison_and_the_site_of_gitlab_run(tmp_path: Path) -> None:
    """The lines of the file, with a stub for the audit: the newer run is there already."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "recsec"
    stub.write_text(
        "#!/bin/sh\n"
        f'case "$1" in audit) cp -r "{RUNS}/$AUDITED" runs/now;;'
        f' *) exec "{sys.executable}" -m recsec "$@";; esac\n'
    )
    stub.chmod(0o755)
    (tmp_path / "runs").mkdir()
    wanted = [line for line in steps(GITLAB) if not line.startswith("pip ")]
    script = "set -e\n" + "\n".join(wanted)

    def run(audited: str) -> int:
        environment = {
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "AUDITED": audited,
            "CI_COMMIT_BRANCH": "main",
            "CI_DEFAULT_BRANCH": "main",
        }
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, check=False, capture_output=True
        ).returncode

    assert run("after") == 0  # the first run: nothing to compare with
    assert (tmp_path / "site" / "index.html").is_file()
    assert run("after") == 0
    assert run("before") == 1  # the guard was taken away
    assert (tmp_path / "diff.html").is_file()
