"""The meter: counts calls, keeps the transcript and replays it."""
