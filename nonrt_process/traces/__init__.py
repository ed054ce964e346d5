"""Spans on their way out: from the event ring and from this process to an OTLP receiver."""
