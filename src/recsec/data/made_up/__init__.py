"""Made-up interactions whose best possible ranker is known."""
