"""Earth observation: scenes, fields, weather, regions and their simulators, read once into physical units."""
