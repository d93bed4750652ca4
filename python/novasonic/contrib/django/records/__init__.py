"""What is kept of conversations: rows, recordings, and who has read them.

`companion.Records` collects, `writer` writes, `store` reads for resumption, `export` and `erase` answer people's rights.
"""
