"""What is said: commands, events and the values in them, as pure data. The published language of Defter."""
