"""Checkpoints of the RT process: what it was doing, on disk, for a start without a segment."""
