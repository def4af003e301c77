"""Accounts that are asked for news: when, how often, what becomes of it, and how each of them stands."""
