"""Icon sets of Iconify: icons.json -> pictures, drawn from SVG, with the names of the icons."""
