"""specmemo: a terminal chatbot that decodes speculatively inside a hard memory cap."""

__version__ = "0.1.0"
