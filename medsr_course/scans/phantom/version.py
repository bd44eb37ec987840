"""Version of the generator: part of the cohort's cache key, raised whenever its images change."""

VERSION = 5
