"""What the read side does by itself as time passes and facts come in: views that no single record makes.

A task recomputes from the stored facts and writes idempotently, so it may run twice, or late, or end in the middle.
"""
