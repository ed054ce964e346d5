"""Files that other tools open; one module per format with `write(recording, file)`."""
