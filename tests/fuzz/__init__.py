"""Whatever comes from outside is read or refused; nothing else ever happens."""
