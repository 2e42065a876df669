"""EvaluationSuite: writes the eval split and the other evaluation sets as splits of one Examples artifact."""
