"""Backups of MongoDB, how they are restored beside a log that went on, and rebuilding the views from the log."""
