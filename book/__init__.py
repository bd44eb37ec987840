"""The website: its pages, and the command that builds it, ``python -m book.build``."""
