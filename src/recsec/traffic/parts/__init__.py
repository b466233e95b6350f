"""A log part after part, so that memory does not grow with its length."""
