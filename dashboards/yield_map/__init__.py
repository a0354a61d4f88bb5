"""The yield map: forecasts of regions through the season, with their intervals and what may be claimed."""
