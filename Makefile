# One line each: the work is in course.py, which Windows runs too (python course.py lab).
# No target names a file.
PY ?= python3
export LAB_ARGS TEST_ARGS PROFILE NAME

.PHONY: lab test book bench weights wheels
lab: ; @$(PY) course.py lab
test: ; @$(PY) course.py test
book: ; @$(PY) course.py book
bench: ; @$(PY) course.py bench
weights: ; @$(PY) course.py weights
wheels: ; @$(PY) course.py wheels
