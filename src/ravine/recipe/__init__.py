"""The six steps of the recipe, in order, each a file; `walk` goes through them."""
