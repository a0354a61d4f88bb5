"""The field map: yield and vigour of every pixel and field, from a season of scenes."""
