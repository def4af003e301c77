"""Receiving what platforms push: each delivery is verified, read, and answered once the log has it."""
