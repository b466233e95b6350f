"""The harness: it counts, projects again, saves, decodes and judges; attacks only claim."""
