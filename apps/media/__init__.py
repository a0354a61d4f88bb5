"""The media domain's own work: the index of an archive, its search, its copies and where its files come from."""
