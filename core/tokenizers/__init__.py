"""Tokenizers by kind of signal, not by sensor: a folder because every kind is a file of its own."""
