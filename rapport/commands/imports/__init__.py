"""`rapport import`."""
