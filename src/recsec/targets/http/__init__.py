"""A recommender behind an HTTP API: settings and client."""
