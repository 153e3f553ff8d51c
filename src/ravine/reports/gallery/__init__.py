"""Every picture of the lecture, computed when it is drawn, in the order of its story."""

from ravine.reports.gallery.chapter import Chapter, Figure
from ravine.reports.gallery.story import CHAPTERS, figure_named, figures
from ravine.reports.gallery.write import write_gallery

__all__ = ["CHAPTERS", "Chapter", "Figure", "figure_named", "figures", "write_gallery"]
