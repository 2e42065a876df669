"""Where the SavedModel is that a command is to ask."""

import os


def find_version(model_dir: str) -> str:
    """The SavedModel's folder: `model_dir` itself, or its highest-numbered subfolder.

    Raises:
      ValueError: there is no SavedModel.
    """
    if os.path.isfile(os.path.join(model_dir, "saved_model.pb")):
        return model_dir
    versions = [name for name in os.listdir(model_dir) if name.isdigit()] if os.path.isdir(model_dir) else []
    complete = [name for name in versions if os.path.isfile(os.path.join(model_dir, name, "saved_model.pb"))]
    if not complete:
        raise ValueError(
            f"--model_dir={model_dir} holds no SavedModel; run `make quickstart` and take the path it prints"
        )
    return os.path.join(model_dir, max(complete, key=int))
