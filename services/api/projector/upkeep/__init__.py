"""Background tasks of the read side: views that depend on time or on many records.

A task recomputes from the stored facts and writes idempotently, so it may run twice, run late, or stop in the middle.
"""
