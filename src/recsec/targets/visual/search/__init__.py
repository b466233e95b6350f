"""Visual search behind HTTP: how it is asked, and what it is known to answer."""
