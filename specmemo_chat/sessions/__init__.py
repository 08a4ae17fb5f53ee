"""Stored conversations: a SQLite file, what is written into it while a chat goes on, and exports."""
