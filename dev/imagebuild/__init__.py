"""Container images of this clone: what each is made from, buildah, and the registry that they are pushed to."""
