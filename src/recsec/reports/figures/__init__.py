"""Figures, one file per subject: tables in, SVG or PNG out. Only this room imports matplotlib."""
