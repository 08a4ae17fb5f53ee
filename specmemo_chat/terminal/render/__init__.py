"""A reply as rows of styled text: streaming Markdown, code, wrapping. Knows no terminal."""
