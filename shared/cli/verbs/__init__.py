"""One module per verb of `mxrc`, with `register(app)`; its imports are made when it runs."""
