"""The live service: stand in the traffic, watch, explain, act. Needs the extra ``serve``."""
