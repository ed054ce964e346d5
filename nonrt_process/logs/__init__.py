"""Log files: RT events and this process's own records as ECS documents, one a line."""
