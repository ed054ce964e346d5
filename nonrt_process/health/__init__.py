"""Health of both processes: checks, their sum, and /health."""
