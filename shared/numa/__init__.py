"""Memory placement: libnuma, and where the pages of a process are."""
