"""The main stem: streams, tokens, the trunk, heads, calibration and training. Knows no data format and no domain."""
