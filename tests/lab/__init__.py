"""Tests marked `lab`."""
