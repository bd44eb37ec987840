"""Commands of those who write the course, ``python -m tools.bench`` and its like; readers need none of them."""
