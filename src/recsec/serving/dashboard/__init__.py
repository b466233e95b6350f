"""The dashboard: pages for operators, below ``/dashboard``."""

from recsec.serving.dashboard.app import LIVE, ROUTES, add_dashboard
from recsec.serving.dashboard.desk import Place, Route
from recsec.serving.dashboard.pages import PREFIX

__all__ = ["LIVE", "PREFIX", "ROUTES", "Place", "Route", "add_dashboard"]
