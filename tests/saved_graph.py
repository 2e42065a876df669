"""The graph of a SavedModel."""

import pathlib

from tensorflow.core.protobuf import saved_model_pb2


def copies(saved_model: str, op: str) -> int:
    """How often the functions of a SavedModel contain an op, such as the convolution of the patches."""
    graph = saved_model_pb2.SavedModel.FromString(pathlib.Path(saved_model, "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    return sum(node.op == op for one in functions for node in one.node_def)
