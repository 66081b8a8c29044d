"""Tree-packed training: every distinct token of a batch's rows is computed once.

The token sequences of a task's pairs or paths share their beginnings. Laid out as a trie, each
distinct token is one position of the model's input: its position number is its depth on the path
from the root, and it attends to its ancestors only. The loss stays defined on the original rows: a
row's log-probabilities are read off its path, and gradients add up where rows share tokens, so
loss and gradients are those of the rows (up to the order of floating-point sums).

``trie`` lays rows out, ``segments`` computes attention on them, ``forward`` reads log-probabilities
off, ``support`` says which models can be computed so.
"""
