"""A terminal console for MongoDB disaster recovery."""

__version__ = "0.1.0"
