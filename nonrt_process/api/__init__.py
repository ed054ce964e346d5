"""The HTTP API on port 8080: guards, problem documents, server spans, endpoints."""
