"""Where events are kept. The only package that knows the `eventsourcing` library."""
