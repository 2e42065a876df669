"""ImageTextGen: source rows -> checked, split and sharded Examples, and a report on every row."""
