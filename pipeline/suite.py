"""What EvaluationSuite, ModelPackager and Evaluator take of the settings."""

import json

from beam import sources
from components.metrics import eval_config
from models.evaluation import metrics
from pipeline.settings.run import PipelineSettings


def evaluation_sets(settings: PipelineSettings) -> str:
    """JSON of all sets."""
    sets = {
        one.name: {
            "source": sources.to_json(one.source) if one.source else "",
            "examples": one.examples,
            "classes": one.classes,
            "all_captions": one.all_captions,
        }
        for one in settings.all_evaluation_sets
    }
    return json.dumps(sets, sort_keys=True)


def label_sets(settings: PipelineSettings) -> str:
    """JSON of those of the evaluation sets, whose labels are known once they are read, and those to be served only."""
    sets = {one.name: {"labels": one.classes, "templates": one.templates} for one in settings.all_evaluation_sets}
    sets |= {one.name: {"labels": one.labels, "templates": one.templates} for one in settings.packaging.label_sets}
    return json.dumps(sets, sort_keys=True)


def gate(settings: PipelineSettings) -> eval_config.Gate:
    """What blesses a model."""
    rules = settings.gate
    return eval_config.Gate(
        rules.min_value,
        rules.max_drop,
        rules.slice_by,
        [one.name for one in settings.all_evaluation_sets if not one.retrieval],
        metrics.Confidence(rules.confidence, rules.slice_confidence),
    )
