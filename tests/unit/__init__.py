"""Tests marked `unit`."""
