"""`rapport verify`: what the log says, recomputed by the scorer's own handlers, held against the views in MongoDB."""
