"""One fault a module: its page in the docstring, and `find`."""
