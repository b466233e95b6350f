"""What MkDocs does beyond its configuration: files beside ``docs/`` that a page links to are on the
site too, and nothing on the site is fetched from elsewhere.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")
FETCHED = re.compile(
    r"""(?:src|<link[^>]+href)=["']?(?:https?:)?//|url\(["']?(?:https?:)?//|@import"""
)


def _place(path: str) -> str:
    """Where a file of the repository stands on the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"{path.rstrip('/')}/index.md"
    return path.lower() if "/" not in path else path


def _linked(path: str, text: str) -> list[str]:
    """The files of the repository that a page of it links to."""
    found = [match[2] for match in LINK.finditer(text) if not re.match(r"\w+:", match[2])]
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) for link in found]


def _text(path: str) -> str:
    """A page; of a folder the list of its files."""
    folder = ROOT / path
    if not folder.is_dir():
        return folder.read_text(encoding="utf-8")
    names = sorted(one.name for one in folder.iterdir() if one.is_file())
    return "\n".join([f"# {path}", "", *(f"- [{name}]({name})" for name in names), ""])


def on_config(config: Any) -> Any:
    """Add how-to pages that the navigation does not name, after those that it does."""
    for section in config["nav"]:
        if "How to" in section:
            named = {page for entry in section["How to"] for page in entry.values()}
            found = sorted(path.name for path in (ROOT / "docs/how-to").glob("*.md"))
            section["How to"] += [f"how-to/{one}" for one in found if f"how-to/{one}" not in named]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link to outside of ``docs/``, and what those link to."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    config["pages"] = {}
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        page = path.endswith(".md") or (ROOT / path).is_dir()
        text = _text(path) if page else ""
        if not path.startswith("docs/"):
            place = _place(path)
            config["pages"][place] = f"{path}/index.md" if (ROOT / path).is_dir() else path
            content = text if page else (ROOT / path).read_bytes()
            files.append(File.generated(config, place, content=content))
        if page:
            base = f"{path}/index.md" if (ROOT / path).is_dir() else path
            new = [one for one in _linked(base, text) if (ROOT / one).exists() and one not in seen]
            seen |= set(new)
            waiting += [one for one in new if not one.startswith("docs/")]
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links as they lead on the site."""
    here = page.file.src_uri
    path = config["pages"].get(here, f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        if re.match(r"\w+:", match[2]):
            return match[0]
        (target,) = _linked(path, match[0])
        link = posixpath.relpath(_place(target), posixpath.dirname(here) or ".")
        return f"{match[1]}{link}{match[3]}"

    return LINK.sub(moved, markdown)


def on_post_build(config: Any) -> None:
    """Refuse a site that fetches anything."""
    for path in sorted(Path(config["site_dir"]).rglob("*")):
        if path.suffix in {".html", ".css"} and FETCHED.search(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path} fetches something from elsewhere")
