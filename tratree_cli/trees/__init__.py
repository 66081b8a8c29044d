"""Trajectory trees: building, searching, pairing and describing them (paper, section 3.2).

Pure functions over numpy columns. Nothing here reads a file, loads a model or knows what a text
says: texts are numbers, and whether two of them are similar is answered by a function handed in.
"""
