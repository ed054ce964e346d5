"""Failover: when the RT process counts as failed, what is done, and when to stop trying."""
