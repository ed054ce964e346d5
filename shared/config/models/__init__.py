"""One module per configuration file; its name is the file's stem."""
