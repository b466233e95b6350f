"""``hf:ORG/NAME@REVISION``, downloaded from a hub on loopback by the real code."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from recsec.cli.main import main
from recsec.errors import ConfigError
from recsec.targets.visual import open_source

transformers = pytest.importorskip("transformers")
COMMIT = "a" * 40
PHOTOS = "photos:items=60,categories=3"


class Hub(BaseHTTPRequestHandler):
    """Files of one repository, at the revision v1."""

    folder: Path

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        _, *where, name = self.path.partition("?")[0].split("/")
        file = self.folder / name
        known = where in (["shop", "encoder", "resolve", one] for one in ("v1", COMMIT))
        content = file.read_bytes() if known and file.is_file() else b""
        self.send_response(200 if content else 404)
        if not content:
            fault = "EntryNotFound" if known else "RevisionNotFound"
            self.send_header("X-Error-Code", fault)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic"
    )
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "files")
    (tmp_path / "files" / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}'
    )
    handler = type("Handler", (Hub,), {"folder": tmp_path / "files"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", place)
        template = place + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(_http.time, "sleep", lambda _: None)
        yield server
        server.shutdown()
        thread.join()


def test_a_network_is_downloaded_at_its_revision(hub, tmp_path, capsys):
    found = open_source("hf:shop/encoder@v1")
    local = open_source(f"hf:{tmp_path / 'files'}")
    images = torch.rand(2, 3, 224, 224)
    torch.testing.assert_close(found.encoder(images), local.encoder(images))
    assert "mean 0.5 0.4 0.3, std 0.2 0.2 0.2" in found.words
    assert (tmp_path / "cache" / "models--shop--encoder" / "snapshots" / COMMIT).is_dir()
    assert main(["target", "check", "hf:shop/encoder@v1", "--data", PHOTOS, "-q"]) == 0
    assert "hf: gives" in capsys.readouterr().out


def test_another_revision_and_no_revision_are_refused(hub):
    with pytest.raises(ConfigError, match="shop/encoder") as caught:
        open_source("hf:shop/encoder@v2")
    assert "the revision must exist" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="hf:ORG/NAME@REVISION"):
        open_source("hf:shop/encoder")


def test_without_network_the_way_out_is_said(hub):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ConfigError, match="couldn't connect") as caught:
        open_source("hf:shop/encoder@v1")
    assert "hf:FOLDER" in str(caught.value.hint)
