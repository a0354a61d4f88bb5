"""Names of the crop phases by which inputs without dates are told."""

import re

# Paudel et al. 2021, Machine learning for large-scale crop yield forecasting, Agricultural Systems 187, features
PHASES = ("before planting", "planting", "vegetative", "flowering", "yield formation")
CODE = re.compile(r"\bphase([0-4])\b")


def phases_in_words(text: str) -> str:
    """A text whose phase0 to phase4 bear their names."""
    return CODE.sub(lambda found: PHASES[int(found[1])], text)
