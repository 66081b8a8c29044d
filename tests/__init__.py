"""Tests; a package, because other projects install one of this name."""
