"""The real image, built and run: `make test-image`. No part of `make test`: it needs root, and minutes."""
