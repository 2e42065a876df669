"""What runs where: the settings, the DAG, a runner for each platform, and the commands."""
