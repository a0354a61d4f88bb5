"""Robot recordings: bags, flight logs, tables and arrays, each sensor on its own clock, in SI units, ENU and FLU."""
