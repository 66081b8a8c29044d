"""``python -m tratree_cli``: the same as ``tratree``."""

from tratree_cli.app import main

if __name__ == "__main__":
    main()
