"""A conversation among many workers: who holds it, who may go on with it, and how a worker is emptied.

Everything works within one process by itself. Redis (``NOVASONIC["REDIS_URL"]``) and a Channels layer of
channels_redis carry it across workers; ``docs/how-to/many-workers.md`` says what needs which.
"""
