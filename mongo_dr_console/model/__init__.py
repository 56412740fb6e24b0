"""Facts and decisions, without any I/O: everything here is tested without a server."""
