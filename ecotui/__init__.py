"""Train image classifiers in a terminal, and never lose the run."""

__version__ = "0.1.0"
