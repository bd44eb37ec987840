"""Chapters as files: ``new`` makes one, ``lint`` says what is missing, ``wrap`` sets its prose."""
