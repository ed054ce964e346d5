"""Tests marked `stress`."""
