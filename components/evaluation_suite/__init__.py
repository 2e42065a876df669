"""EvaluationSuite: the eval split and other sets -> Examples with one split a set, for one run of the Evaluator."""
