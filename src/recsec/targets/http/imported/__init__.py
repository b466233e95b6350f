"""Target files from what users have of an API: a curl command, or an OpenAPI description."""
