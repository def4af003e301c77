"""Errors of a local installation."""


class StackError(Exception):
    """Something did not start or is missing. The message is for people: what, why, and what to do."""
