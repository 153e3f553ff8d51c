"""A run folder in, one self-contained HTML page out; nothing new is computed here."""

from __future__ import annotations

from ravine.reports.tables import curvature_words
from ravine.reports.write import write_report

__all__ = ["curvature_words", "write_report"]
