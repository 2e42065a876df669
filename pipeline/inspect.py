"""Shows a data set: `python -m pipeline.inspect output/data` prints counts and draws a contact sheet."""

from absl import app, flags

from pipeline.console import command_line, terminal

_ROWS = flags.DEFINE_integer("pictures", 40, "Pictures on the contact sheet.", lower_bound=1)
_VERIFY = flags.DEFINE_boolean("verify", False, "Compare every shard with its checksum in the manifest.")


@command_line.errors_as_lines()
def main(argv: list[str]) -> None:
    """Prints the counts, draws the contact sheet, and prints its path."""
    if len(argv) != 2:
        raise app.UsageError(
            f"got {len(argv) - 1} arguments; name one folder that python -m pipeline.build has written"
        )
    terminal.quiet_terminal()
    from pipeline.drawing import contact_sheet  # loads TensorFlow and Beam, whose warnings must not show

    print(contact_sheet.run(argv[1], _ROWS.value, _VERIFY.value))


console = command_line.script(main)

if __name__ == "__main__":
    console()
