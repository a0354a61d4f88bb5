"""Harvests as combines log them: read with their units, cleaned by named rules, and laid on a grid with their doubt."""
