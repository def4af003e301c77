"""`rapport verify`: recomputes what the log says by the scorer's own handlers, and compares the views in MongoDB."""
