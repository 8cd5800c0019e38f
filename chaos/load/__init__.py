"""Client processes: they invoke operations and record each one, as fast as Python goes."""
