"""Tasks: accepted durably, sent to RT when there is room, followed to their one final status."""
