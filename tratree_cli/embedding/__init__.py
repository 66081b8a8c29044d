"""Sentence embeddings for merging similar observations (paper, section 3.2: ξ_sim).

Importing this package is cheap; the libraries behind it load when the first text is embedded, and
in a deterministic environment none ever is.
"""
