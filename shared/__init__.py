"""What both mxrc processes and the tools stand on."""
