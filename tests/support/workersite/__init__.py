"""A site of several workers, each a process of its own; see `test_workers_kill`."""
