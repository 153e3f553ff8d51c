"""The command line: words in, one call, words out. A file per command; nothing here imports torch before it is needed."""

from ravine.cli.main import main

__all__ = ["main"]
