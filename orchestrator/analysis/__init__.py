"""Arrays in, numbers with errors out: no files, no documents, no instruments."""
