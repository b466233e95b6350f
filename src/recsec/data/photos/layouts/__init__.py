"""How photo sets are laid out on disk: one reader per layout."""
