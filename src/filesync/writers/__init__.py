"""Files out: the only place where a local file becomes visible, and the payload formats."""
