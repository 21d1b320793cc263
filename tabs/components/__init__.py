"""Our own HTML components."""
