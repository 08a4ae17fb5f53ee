"""A chat with a scripted worker: the real terminal side, its replies from a file."""
