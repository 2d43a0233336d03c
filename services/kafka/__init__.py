"""Commands in, events out. The only package that knows `aiokafka`."""
