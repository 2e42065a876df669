"""What runs where: settings, the DAG, one runner a platform, the command line."""
