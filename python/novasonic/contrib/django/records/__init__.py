"""What is kept of conversations: rows, recordings, and who has read them.

`companion.Records` collects, `writer` writes, `store` reads for those who come back; `export` and `erase` serve the
people who talked.
"""
