"""Pictures: of the DAG (`graph` reads it, `layout` places it, `svg` draws it), and of a data set (`contact_sheet`)."""
