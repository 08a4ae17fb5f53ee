"""`specmemo bench`: what asks and shows (asking), and the process that measures (measuring)."""
