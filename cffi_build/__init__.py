"""The C core and the builder of its Python module `shared._core`."""
