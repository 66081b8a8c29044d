"""Generated households as real game files: the embedded default, and games of any number."""
