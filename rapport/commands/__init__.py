"""The subcommands of `rapport`. Each imports what it needs only when it is called, so that `--help` is quick."""
