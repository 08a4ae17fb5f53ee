"""`specmemo train-draft`: what asks and shows (asking), and the process that trains (training)."""
