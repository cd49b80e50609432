"""The one-node Kubernetes: a layout per clone, its namespaces, its components, and the objects it starts with."""
