"""Prepares evaluation sets that TFDS does not have: `python -m pipeline.evaluation_files xm3600 --folder=data/xm3600`.

Download the set first; without it, the command prints the layout that it wants. It writes rows.jsonl into the folder,
which gin/evaluation/NAME.gin reads. `imagenet` fetches the class names that gin/evaluation/imagenet*.gin read.
"""

import os

from absl import flags

from pipeline.console import command_line, terminal
from pipeline.evaluation import imagenet_names

_FOLDER = flags.DEFINE_string("folder", None, "The folder of the set; default: data/NAME, as in the gin files.")
_URL = flags.DEFINE_string("url", imagenet_names.URL, "Of the class names of ImageNet; file:///PATH names a copy.")


@command_line.errors_as_lines()
def main(argv: list[str]) -> None:
    """Writes the rows or the class names."""
    terminal.quiet_terminal()
    with terminal.native_log_hidden():
        from pipeline.evaluation import layouts
    name = command_line.action(argv, [imagenet_names.IMAGENET, *layouts.LAYOUTS])
    folder = _FOLDER.value or os.path.join("data", name)
    is_imagenet = name == imagenet_names.IMAGENET
    print(imagenet_names.write(folder, _URL.value) if is_imagenet else layouts.write(name, folder))


console = command_line.script(main)

if __name__ == "__main__":
    console()
