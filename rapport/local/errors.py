"""What can go wrong with a local installation."""


class StackError(Exception):
    """Something did not start or is not there. The message is for a person: what, why, and what to do instead."""
