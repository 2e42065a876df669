"""A page on this machine to try a model: `python -m pipeline.demo --model_dir DIR`.

`model.py` runs the SavedModel, `collection.py` reads the pictures to search and checks uploads, `index.py` finds the
nearest pictures, `page.py` serves the page, and `guard.py` refuses requests that other sites send.
"""
