"""``python -m medsr_course`` is the command ``medsr``."""

from medsr_course.cli import main

if __name__ == "__main__":
    main()
