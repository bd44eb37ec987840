"""Commands for one's own scans: :mod:`.enhance` (also ``serve``), and :mod:`.checks`, ``probe`` and ``audit``."""
