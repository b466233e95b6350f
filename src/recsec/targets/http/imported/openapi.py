"""An OpenAPI description as an example of a request: required fields, and those that say enough."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import httpx

from recsec.errors import ConfigError, UsageError
from recsec.targets.http.addresses import is_loopback, parsed_url, public_url
from recsec.targets.http.imported.guess import Example, id_field, stands_for

__all__ = ["from_openapi", "read_openapi"]

METHODS: Final = ("post", "get", "put")
LARGEST: Final = 10_000_000
DEEPEST: Final = 20
SAMPLES: Final = {"integer": 1, "number": 1, "boolean": False}


def read_openapi(place: str, *, authorised: bool = False) -> dict[str, Any]:
    """The description in a file or at an address, JSON or YAML.

    Raises:
        UsageError: an address beyond this machine without ``authorised``.
        ConfigError: it cannot be read, or is no such description.
    """
    if place.startswith(("http://", "https://")):
        text = _fetched(place, authorised=authorised)
    else:
        try:
            text = Path(place).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read the description {place}: {error}") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _yaml(place, text)
    if not isinstance(found, dict) or not isinstance(found.get("paths"), dict):
        raise ConfigError(f"{public_url(place) if '://' in place else place} describes no paths")
    return found


def _fetched(url: str, *, authorised: bool) -> str:
    try:
        parsed_url(url)
    except ValueError as error:
        raise ConfigError(f"{public_url(url)}: {error}") from error
    if not authorised and not is_loopback(url):
        raise UsageError(
            f"{public_url(url)} is not on this machine",
            hint="save the description as a file, or add --i-am-authorised",
        )
    try:
        answer = httpx.get(url, timeout=10.0, follow_redirects=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ConfigError(f"cannot read {public_url(url)}: {type(error).__name__}") from error
    if len(answer.content) > LARGEST:
        raise ConfigError(f"{public_url(url)} is longer than {LARGEST:,} bytes")
    return answer.text


def _yaml(place: str, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError(f"{place} is no JSON", hint="save the description as JSON") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{place} is neither JSON nor YAML") from error


def from_openapi(described: Mapping[str, Any], path: str, *, at: str = "") -> Example:
    """The request that one path takes.

    Args:
        described: as ``read_openapi`` gives it.
        path: a key of its paths, or the whole address of one.
        at: where the description lies, for servers that are named from there.

    Raises:
        ConfigError: there is no such path, no address, or a required field of which nothing says
            what it holds.
    """
    parts = urlsplit(path)
    base, wanted = ("", path) if not parts.scheme else (f"{parts.scheme}://{parts.netloc}", "")
    paths = described["paths"]
    chosen = next(
        (one for one in paths if one == wanted or (base and parts.path.endswith(one))), ""
    )
    if not chosen:
        raise ConfigError(
            f"the description has no path {path}", hint=f"--path is one of {', '.join(paths)}"
        )
    item = _resolved(described, paths[chosen])
    method = next((one for one in METHODS if one in item), None)
    if method is None:
        raise ConfigError(f"{chosen} takes none of {', '.join(METHODS).upper()}")
    operation = item[method]
    if not base:
        servers = described.get("servers") or [{"url": "/"}]
        base = urljoin(at, str(servers[0].get("url", "/")))
        if not base.startswith(("http://", "https://")):
            raise ConfigError(
                "the description does not say on which server it is",
                hint=f"--path http://HOST{chosen} says it",
            )
        address = base.rstrip("/") + chosen
    else:
        address = path
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    query, headers = [], {}
    for one in (_resolved(described, parameter) for parameter in parameters):
        name, place = str(one.get("name")), one.get("in")
        value = _sample(described, {**_resolved(described, one.get("schema", {})), **_shown(one)})
        guess = stands_for(name, "-" if value is None else value)
        if place == "path" and isinstance(guess, str):
            address = address.replace(f"{{{name}}}", guess)
        elif place == "query" and (guess is not None or one.get("required")):
            told = _needed(chosen, name, value) if guess is None else value
            query += [(name, text) for text in (told if isinstance(told, list) else [told])]
        elif place == "header" and one.get("required"):
            headers[name] = str(_needed(chosen, name, value))
    secret = _secret(described, operation)
    if secret is not None and secret[1] is None:
        query.append((secret[0], "{secret}"))
    if query:
        address += "?" + "&".join(f"{quote(name)}={quote(str(one))}" for name, one in query)
    request, form = _body(described, operation, chosen)
    return Example(
        url=address,
        method=method.upper(),
        headers=headers,
        request=request,
        form=form,
        response=_response(described, operation),
        secret=None if secret is None or secret[1] is None else (secret[0], secret[1]),
    )


def _resolved(described: Mapping[str, Any], node: Any) -> dict[str, Any]:
    """A part of the description, local references followed."""
    for _ in range(DEEPEST):
        if not isinstance(node, Mapping) or "$ref" not in node:
            break
        name = str(node["$ref"])
        node = described if name.startswith("#/") else {}
        steps = [one.replace("~1", "/").replace("~0", "~") for one in name[2:].split("/")]
        for key in steps:
            node = node.get(key, {}) if isinstance(node, Mapping) else {}
    return dict(node) if isinstance(node, Mapping) else {}


def _shown(node: Mapping[str, Any]) -> dict[str, Any]:
    return {"example": node["example"]} if "example" in node else {}


def _sample(described: Mapping[str, Any], schema: Any, depth: int = 0) -> Any:
    """A value of a schema; None where nothing says what it could be."""
    schema = _resolved(described, schema)
    for key in ("example", "default", "const"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("allOf", "anyOf", "oneOf"):
        for one in schema.get(key) or () if depth < DEEPEST else ():
            found = _sample(described, one, depth + 1)
            if found is not None:
                return found
    if schema.get("type") == "array":
        inside = None if depth >= DEEPEST else _sample(described, schema.get("items"), depth + 1)
        return ["-" if inside is None else inside]
    if "properties" in schema and depth < DEEPEST:
        required, chosen = schema.get("required") or (), {}
        for name, one in schema["properties"].items():
            value = _sample(described, one, depth + 1)
            shown = "-" if value is None else value
            if id_field({name: shown}) or stands_for(name, shown) is not None:
                chosen[name] = shown
            elif name in required:
                chosen[name] = _needed("the body", name, value)
        return chosen
    return SAMPLES.get(str(schema.get("type")))


def _needed(path: str, name: str, value: Any) -> Any:
    if value is None:
        raise ConfigError(
            f"{path} requires {name}, and nothing says what it holds",
            hint="give its example in the description, or write the file as examples/target.toml",
        )
    return value


def _body(
    described: Mapping[str, Any], operation: Mapping[str, Any], path: str
) -> tuple[Any, bool]:
    content = _resolved(described, operation.get("requestBody", {})).get("content") or {}
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        if kind in content:
            media = content[kind]
            schema = _resolved(described, media.get("schema", {}))
            value = _sample(described, {**schema, **_shown(media)})
            return _needed(path, "a body", value), kind != "application/json"
    if content:
        raise ConfigError(f"{path} takes {', '.join(content)}; JSON and forms can be sent")
    return None, False


def _response(described: Mapping[str, Any], operation: Mapping[str, Any]) -> str | None:
    """JSONPath to the ids of a good answer."""
    answers = operation.get("responses") or {}
    good: Any = next(
        (answers[code] for code in ("200", 200, "201", "default") if code in answers), {}
    )
    media = (_resolved(described, good).get("content") or {}).get("application/json") or {}
    value = _sample_of_answer(described, media.get("schema", {}))
    return next(_paths(value, "$"), None)


def _sample_of_answer(described: Mapping[str, Any], schema: Any, depth: int = 0) -> Any:
    """The shape of an answer: all fields, whether required or not."""
    schema = _resolved(described, schema)
    if depth < DEEPEST and schema.get("type") == "array":
        return [_sample_of_answer(described, schema.get("items"), depth + 1)]
    if depth < DEEPEST and "properties" in schema:
        fields = schema["properties"].items()
        return {name: _sample_of_answer(described, one, depth + 1) for name, one in fields}
    return SAMPLES.get(str(schema.get("type")), "-")


def _paths(value: Any, path: str) -> Iterator[str]:
    """Paths to lists of ids, the nearest first."""
    if isinstance(value, list):
        first = value[0]
        if isinstance(first, Mapping):
            name = id_field(first)
            if name is not None:
                yield f"{path}[*].{name}"
        elif not isinstance(first, list):
            yield path if path != "$" else "$[*]"
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _paths(one, f"{path}.{name}")


def _secret(
    described: Mapping[str, Any], operation: Mapping[str, Any]
) -> tuple[str, str | None] | None:
    """Header and prefix of the secret that it asks for; without a prefix a field of the query."""
    schemes = described.get("components", {}).get("securitySchemes", {})
    wanted = operation.get("security", described.get("security")) or ()
    for name in (name for one in wanted for name in one):
        scheme = _resolved(described, schemes.get(name, {}))
        if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
            return str(scheme.get("name")), ""
        if scheme.get("type") == "apiKey" and scheme.get("in") == "query":
            return str(scheme.get("name")), None
        if scheme.get("type") == "http":
            return "Authorization", f"{str(scheme.get('scheme', 'bearer')).capitalize()} "
        if scheme.get("type") in ("oauth2", "openIdConnect"):
            return "Authorization", "Bearer "
    return None
