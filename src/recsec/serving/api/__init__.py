"""The HTTP interface of the native server."""

from recsec.serving.api.app import create_app, describe

__all__ = ["create_app", "describe"]
