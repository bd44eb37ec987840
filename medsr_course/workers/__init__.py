"""Who does many things: :mod:`.processes` of this machine, or those of a :mod:`.cluster`.

Both have ``each``: jobs in, each with its answer out. :mod:`.folders` holds what is not done yet.
"""
