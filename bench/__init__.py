"""What Rapport does on this machine, measured on the real services: `python -m bench`, or `make bench`."""
