"""Tests marked `integration`."""
