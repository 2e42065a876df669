"""What the runners for Kubeflow and Vertex AI share: the command, the specification, the errors of clients."""
