"""What is so, and what may be: the state of a ledger and the rules that decide.

Pure: no clock, no I/O, no randomness, no floats.
"""
