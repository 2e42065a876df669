"""A page on this machine to try a model: `python -m pipeline.demo --model_dir DIR`.

`model.py` asks the SavedModel, `collection.py` reads what is searched and checks what is uploaded, `index.py` finds the
nearest, `page.py` is the page, `guard.py` refuses what other sites send.
"""
