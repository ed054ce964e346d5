"""Tests of mxrc."""
