"""The tests mirror the four packages; `tests/system` runs the real processes, `tests/test_tidy.py` holds the house
rules."""
