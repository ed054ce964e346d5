"""The flight recorder: freezes the cycles around a late one, SAFE_MODE or ERROR into a file."""
