"""The name of `python -m pipeline.inspect` before it moved; kept for one release."""

from beam import renamed

if __name__ == "__main__":
    renamed.run("beam.inspect", "pipeline.inspect")
