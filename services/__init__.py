"""What is done: every effect, every process, every clock. May import anything."""
