"""A scan in, a scan out: the tool for one's own scans. Nothing is here yet."""
