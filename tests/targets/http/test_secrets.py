"""A secret is found in whatever form it comes back."""

from __future__ import annotations

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsec.targets.http.secrets import Secrets

SECRETS = ("tok-abc123", 'pa"ss-wd', "back\\slash\\\\es", "a b&c<d>'e", "100%+sure/=", "päss€wort")
PRINTED = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=6, max_size=24)


def in_entities(text):
    return "".join(f"&#{ord(c)};" if at % 2 else f"&#x{ord(c):X};" for at, c in enumerate(text))


FORMS = {
    "raw": str,
    "upper": str.upper,
    "repr": lambda text: repr(text)[1:-1],
    "repr of repr": lambda text: repr(repr(text)),
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "json": lambda text: json.dumps(text)[1:-1],
    "json of json": lambda text: json.dumps(json.dumps(text))[3:-3],
    "escapes": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "bytes as escapes": lambda text: "".join(f"\\x{ord(c):02X}" for c in text if ord(c) < 256),
    "percent": lambda text: quote(text, safe=""),
    "percent, all": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "html": html.escape,
    "entities": in_entities,
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 after a byte": lambda text: base64.b64encode(b":" + text.encode() + b"!").decode(),
    "base64 after two": lambda text: base64.b64encode(b"u:" + text.encode() + b"\r\n").decode(),
}


@pytest.mark.hostile(kind="server", what="a secret repeated in another encoding")
@pytest.mark.parametrize(
    ("secret", "form"),
    [
        (secret, form)
        for secret in SECRETS
        for form in FORMS
        if secret.isascii() or form not in ("repr of bytes", "bytes as escapes")
    ],
)
def test_every_form_is_hidden(secret, form):
    written = FORMS[form](secret)
    hidden = Secrets([secret]).hide(f"<<{written}>>")
    assert written not in hidden
    assert "***" in hidden
    if not form.startswith(("repr of repr", "base64 after")):
        assert hidden == "<<***>>"


@given(secret=PRINTED, form=st.sampled_from(sorted(FORMS)), around=st.text(max_size=8))
def test_any_printed_secret_is_hidden(secret, form, around):
    written = FORMS[form](secret)
    hidden = Secrets([secret]).hide(f"{around}<{written}>{around}")
    assert secret not in hidden
    assert written not in hidden


@pytest.mark.parametrize("end", ["", "\r", "\n", "\r\n"])
def test_a_line_end_behind_it_changes_nothing(end):
    assert Secrets(["tok-abc123"]).hide(f"tok-abc123{end}") == f"***{end}"
    assert "tok" not in Secrets([f"tok-abc123{end}"]).hide(repr(f"tok-abc123{end}"))


def test_the_longest_of_nested_secrets_goes_first():
    assert Secrets(["abcdef", "abcdefghij"]).hide("abcdefghij abcdef") == "*** ***"


def test_other_words_stay():
    text = "HTTP 404: 'no such page', item 108 is not among 40 items"
    assert Secrets(["tok-abc123", ""]).hide(text) == text
    assert Secrets([]).hide(text) == text


def test_documents_are_hidden_part_by_part():
    document = {"tok-abc123": ["x tok-abc123", 123456, 7, True, None, 1.5]}
    found = Secrets(["tok-abc123", "123456"]).hide_in(document)
    assert found == {"***": ["x ***", "***", 7, True, None, 1.5]}


@pytest.mark.hostile(kind="server", what="a megabyte made to keep the search for secrets busy")
@pytest.mark.parametrize(
    "piece", ["\\", "%", "%25", "&#0", "\\u", "a", "\\a", "dG9r", "aaaaaaaaaaaaaaaaaaab"]
)
def test_the_search_takes_little_time(piece):
    secrets = Secrets(["aaaaaaaaaaaaaaaaaaaac", "\\a" * 20, "\\" * 20 + "b", "tok-abc123"])
    began = time.process_time()
    secrets.hide(piece * (1_000_000 // len(piece)))
    assert time.process_time() - began < 20
