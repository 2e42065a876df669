"""InfraValidator: checks that a server without this project's code can load the model and answer real requests."""
