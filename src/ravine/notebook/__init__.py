"""What a notebook shows of a value: small pieces of HTML and SVG, escaped, without scripts and without a network.

Colours are those of the notebook itself (`currentColor`) and a few that can be read on white and on black, so a dark theme needs no
rule of its own. Everybody may import this: a class says in `_repr_html_` what it is made of, and nothing here knows any class.
"""

from ravine.notebook.html import badge as badge
from ravine.notebook.html import card as card
from ravine.notebook.html import details as details
from ravine.notebook.html import paragraph as paragraph
from ravine.notebook.html import shown as shown
from ravine.notebook.html import table as table
from ravine.notebook.progress import Live as Live
from ravine.notebook.progress import live_here as live_here

__all__ = ["Live", "badge", "card", "details", "live_here", "paragraph", "shown", "table"]
