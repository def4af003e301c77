"""`rapport import`: files of the past, read in bounded memory, checked, and sent through the generic door."""
