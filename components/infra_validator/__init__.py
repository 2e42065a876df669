"""InfraValidator: can a server that knows nothing of this project load the model and answer real requests?"""
