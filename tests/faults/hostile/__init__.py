"""One client is fed with everything hostile at once; nobody else may notice."""
