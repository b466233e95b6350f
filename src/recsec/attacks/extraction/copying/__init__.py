"""From recorded lists to a surrogate."""
