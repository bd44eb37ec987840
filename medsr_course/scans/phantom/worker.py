"""A worker process of :mod:`.cohort`: ``python -m medsr_course.scans.phantom.worker FOLDER SEED``.

Reads subject indices from standard input, one a line, answers each with ``done`` or ``oserror NUMBER
TEXT``, and ends with its input, so it never outlives the process that started it by more than a subject.
"""

import sys

from medsr_course.scans.phantom import cohort


def main() -> None:
    """Serve indices until the input ends."""
    folder, seed = sys.argv[1], int(sys.argv[2])
    for line in sys.stdin:
        try:
            cohort.write_subject(folder, seed, int(line))
            answer = "done"
        except OSError as error:
            answer = f"oserror {error.errno or 0} {error.strerror or error}"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
