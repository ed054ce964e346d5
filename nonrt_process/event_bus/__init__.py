"""Publish and subscribe: events of RT and of this process, and their observers."""
