"""What fills a run: a source, an iterable, a sweep, a queue."""
