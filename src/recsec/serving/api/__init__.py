"""The HTTP interface of the native server."""

from recsec.serving.api.app import create_app

__all__ = ["create_app"]
