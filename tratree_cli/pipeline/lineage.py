"""What the recorded roles of a stage's inputs mean to whoever follows them back."""

ONLY_COUNTED = "budget"
"""The role of an input that decides how long a control trains, and that nothing is learned from."""
