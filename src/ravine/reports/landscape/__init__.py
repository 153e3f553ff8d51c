"""Paths of rules over a surface, drawn: a page with controls, a picture, or the numbers."""

from ravine.reports.landscape.arrange import draw
from ravine.reports.landscape.asked import Arrangement, Asked, Walked, walked
from ravine.reports.landscape.drawing import Drawing, Line, Panel, drawn_panels
from ravine.reports.landscape.endings import endings, record, theory_sentences
from ravine.reports.landscape.page import landscape_page
from ravine.reports.landscape.write import check_out, write_landscape

__all__ = [
    "Arrangement",
    "Asked",
    "Drawing",
    "Line",
    "Panel",
    "Walked",
    "check_out",
    "draw",
    "drawn_panels",
    "endings",
    "landscape_page",
    "record",
    "theory_sentences",
    "walked",
    "write_landscape",
]
