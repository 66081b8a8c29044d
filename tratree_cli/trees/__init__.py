"""Trajectory trees: building, searching, pairing and describing them (paper, section 3.2).

Pure functions over numpy columns. Nothing here reads a file, loads a model or sees a text:
texts are numbers, and a function given by the caller computes whether two of them are similar.
"""
