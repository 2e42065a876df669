"""ModelPackager: the trained Model -> the Model that is evaluated and served, with labels, warm-up and fewer bits."""
