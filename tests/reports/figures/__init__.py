"""A package, so that its tests share the run folders of the reports."""
