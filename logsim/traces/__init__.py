"""Stack traces as their run-times print them: Java's Throwable and Python's traceback module."""
