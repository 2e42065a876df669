"""What both runners of Kubeflow Pipelines share: the command line, the specification, errors of clients."""
