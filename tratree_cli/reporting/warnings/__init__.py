"""Rules that find what went wrong in a training, from figures that a report has anyway.

Each rule is a function of a few numbers with its threshold beside it. A rule returns a ``Sign``:
the figure that it looked at, whether that is bad, and if so the words for it. Signs stand in a
table whether bad or not; bad ones of the methods in question are among a report's first sentences.
"""
