"""Is a segment whole? One module per part; each yields findings that name the place."""
