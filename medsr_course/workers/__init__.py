"""Who does many things: :mod:`.processes` of this machine, or those of a :mod:`.cluster`. Both have ``each``."""
