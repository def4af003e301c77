"""What Kubernetes itself makes of the manifests: `make test-cluster`. No part of `make test`: it builds Kubernetes."""
