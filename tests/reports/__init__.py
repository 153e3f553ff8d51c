"""A package, so that its tests share folders.py."""
