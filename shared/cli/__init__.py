"""The command line: `mxrc`. Machine output goes to stdout, diagnostics to stderr."""
