"""Pictures, sound, video and text of an archive, with their metadata: read within bounds, and never written to."""
