"""Which queries a thief makes: one policy per file."""
