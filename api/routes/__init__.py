"""One file a kind of resource."""
