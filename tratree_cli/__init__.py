"""tratree: a weak agent's successes and failures, turned into supervision for a stronger one."""

__version__ = "0.2.0"
