"""Log in, log out, and the files that pages use."""

from __future__ import annotations

from starlette.responses import Response

from recsec.serving.dashboard.desk import Call, Desk, No, Route
from recsec.serving.dashboard.sessions import COOKIE, LASTS, TooOften

__all__ = ["ROUTES"]


def static(desk: Desk, call: Call) -> Response:
    """A style or a script."""
    found = desk.pages.static(call.path["name"])
    if found is None:
        raise No(404, "there is no such file")
    return found


def ask(desk: Desk, call: Call) -> Response:
    """The form."""
    return desk.go("/") if call.who is not None else desk.page("login.html", call, wrong=False)


def login(desk: Desk, call: Call) -> Response:
    """Begin a session: always a new one, whatever cookie the browser brought."""
    name, password = call.form.get("name", "")[:200], call.form.get("password", "")
    try:
        token = desk.sessions.login(name, password, call.place)
    except TooOften as error:
        raise No(429, "too many attempts; wait some minutes", wait=error.wait) from error
    if token is None:
        return desk.page("login.html", call, status=401, wrong=True)
    if call.who is not None:
        desk.sessions.logout(call.who.token)
    answer = desk.go("/")
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(LASTS),
        path=desk.place.prefix,
        secure=call.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def logout(desk: Desk, call: Call) -> Response:
    """End the session."""
    desk.sessions.logout(call.somebody.token)
    answer = desk.go("/login")
    answer.delete_cookie(COOKIE, path=desk.place.prefix, httponly=True, samesite="strict")
    return answer


ROUTES: tuple[Route, ...] = (
    Route("GET", "/static/{name}", None, static),
    Route("GET", "/login", None, ask),
    Route("POST", "/login", None, login),
    Route("POST", "/logout", "viewer", logout),
)
