"""InputState: reads the state of the pipeline's input on platforms that run no drivers."""
