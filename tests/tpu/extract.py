"""Turns a traced TPUStrategy step into a function of one replica that XLA can compile, with its collectives.

TensorFlow has no XLA:CPU kernel for CollectivePermute and CrossReplicaSum. This module replaces each by an
XlaCallModule node that holds the same collective in StableHLO, which every XLA backend compiles. Such a node has no
gradient, so the replacement comes after autodiff.
"""

import collections
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2
from tensorflow.python.eager import context

_MLIR_TYPE = {tf.float32: "f32", tf.float64: "f64", tf.bfloat16: "bf16", tf.int32: "i32", tf.int64: "i64"}
_MODULE_VERSION = 8 if tf.__version__.startswith("2.16.") else 9
_BOUNDARY = ("TPUReplicateMetadata", "TPUCompilationResult", "TPUReplicatedInput", "TPUReplicatedOutput")
_COLLECTIVES = ("CollectivePermute", "CrossReplicaSum")
_SUFFIX = "_one_replica"


def _mlir_type(dtype: tf.DType, shape: Sequence[int]) -> str:
    return "tensor<" + "".join(f"{size}x" for size in shape) + _MLIR_TYPE[dtype] + ">"


def _module(op: str, dtype: tf.DType, shape: Sequence[int], rows: Sequence[Sequence[int]]) -> str:
    """StableHLO of one collective; `rows` are its source_target_pairs or replica groups."""
    whole, element = _mlir_type(dtype, shape), _mlir_type(dtype, [])
    dense = f"dense<{np.asarray(rows).tolist()}> : tensor<{len(rows)}x{len(rows[0])}xi64>"
    call = {
        "CollectivePermute": f'"stablehlo.collective_permute"(%x) {{source_target_pairs = {dense}}}',
        "CrossReplicaSum": f'"stablehlo.all_reduce"(%x) ({{ ^bb0(%l: {element}, %r: {element}): '
        f"%s = stablehlo.add %l, %r : {element} stablehlo.return %s : {element} }}) {{replica_groups = {dense}}}",
    }[op]
    return (
        f"module @collective {{ func.func public @main(%x: {whole}) -> {whole} {{ "
        f"%0 = {call} : ({whole}) -> {whole} return %0 : {whole} }} }}"
    )


def collective_permute(tensor: tf.Tensor, pairs: Sequence[Sequence[int]]) -> tf.Tensor:
    """The result of CollectivePermute, for a function that XLA compiles without TPUStrategy. Has no gradient."""
    (result,) = gen_xla_ops.xla_call_module(
        args=[tensor],
        version=_MODULE_VERSION,
        module=_module("CollectivePermute", tensor.dtype, tensor.shape, pairs),
        Sout=[tensor.shape],
        Tout=[tensor.dtype],
        platforms=["CPU"],
    )
    return tf.ensure_shape(result, tensor.shape)


def _replace_collective(node: node_def_pb2.NodeDef, rows: np.ndarray) -> None:
    dtype = tf.as_dtype(node.attr["T"].type)
    shape = tf.TensorShape(node.attr["_output_shapes"].list.shape[0])
    module = _module(node.op, dtype, shape.as_list(), rows)
    inputs = [node.input[0], *(name for name in node.input if name.startswith("^"))]
    node.op, node.input[:] = "XlaCallModule", inputs
    node.ClearField("attr")
    node.attr["version"].i = _MODULE_VERSION
    node.attr["module"].s = module.encode()
    node.attr["platforms"].list.s.append(b"CPU")
    node.attr["Sout"].list.shape.append(shape.as_proto())
    node.attr["has_token_input_output"].b = False
    for types in ("Tin", "Tout"):
        node.attr[types].list.type.append(dtype.as_datatype_enum)
    for empty in ("dim_args_spec", "function_list", "disabled_checks"):
        node.attr[empty].CopyFrom(attr_value_pb2.AttrValue(list=attr_value_pb2.AttrValue.ListValue()))


def _rewrite(nodes: Sequence[node_def_pb2.NodeDef]) -> None:
    """Replaces collectives, removes devices and TPU markers, and makes calls use the renamed functions; in place."""
    constants = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.op == "Const"}
    for node in nodes:
        node.device = ""
        for marker in ("_tpu_replicate", "_tpu_compilation_status", "_xla_compile_id"):
            node.attr.pop(marker, None)
        for attr in node.attr.values():
            for function in [attr.func] * attr.HasField("func") + list(attr.list.func):
                function.name += _SUFFIX
        if node.op in _COLLECTIVES:
            _replace_collective(node, constants[node.input[1].split(":")[0]])


def count_ops(traced: tf.types.experimental.ConcreteFunction) -> collections.Counter:
    """Counts each op type in a traced step, including the bodies of loops and branches."""
    graph_def = traced.graph.as_graph_def()
    bodies = [graph_def.node, *(function.node_def for function in graph_def.library.function)]
    return collections.Counter(node.op for body in bodies for node in body)


def extract(traced: tf.types.experimental.ConcreteFunction) -> Callable[..., list[tf.Tensor]]:
    """Returns one replica's program as a function: arguments of replica 0 -> outputs of one replica.

    Wrap it in tf.function(jit_compile=True). It captures and updates variables: the copies of replica 0, as all copies
    start equal. Reads of the replica id become XlaReplicaId.

    Args:
      traced: a step given to strategy.run, traced under the fake strategy with PerReplica arguments.
    """
    graph = traced.graph
    operations = graph.get_operations()
    graph_def = graph.as_graph_def(add_shapes=True)
    nodes = [n for n in graph_def.node if n.op not in _BOUNDARY and ("_tpu_replicate" in n.attr or n.op == "Const")]
    entries = [op for op in operations if op.type == "TPUReplicatedInput"]
    results = [op.inputs[0].name for op in operations if op.type == "TPUReplicatedOutput"]
    known = {node.name for node in nodes} | {op.name for op in entries}
    for node in nodes:
        node.input[:] = [name for name in node.input if name.lstrip("^").split(":")[0] in known]
    effects = [node.name for node in nodes if graph.get_operation_by_name(node.name).op_def.is_stateful]

    _rewrite(nodes)
    body = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library, node=nodes)
    for function in body.library.function:
        function.signature.name += _SUFFIX  # its old name belongs to the function before rewriting
        _rewrite(function.node_def)
        context.context().add_function_def(function)

    variables = {i.name: o for i, o in zip(graph.internal_captures, graph.external_captures, strict=True)}
    sources = {op.name: op.inputs[0] for op in entries}
    fed = {source.name for source in sources.values()} - set(variables)
    order = [tensor.name for tensor in graph.inputs if tensor.name in fed]  # in the order of replica 0's arguments

    def one_replica(*arguments: tf.Tensor) -> list[tf.Tensor]:
        argument_of = dict(zip(order, arguments, strict=True))

        def value(op: tf.Operation) -> tf.Tensor:
            source = sources[op.name]
            if source.name in variables:
                return tf.compat.v1.get_default_graph().capture(variables[source.name])
            if source.name in argument_of:
                return argument_of[source.name]
            if [tf.get_static_value(tensor) for tensor in op.inputs] == list(range(len(op.inputs))):
                return gen_xla_ops.xla_replica_id()
            raise ValueError(
                f"{op.name} reads {source.name}; an input must be an argument, a variable or the replica id. "
                "Compute it inside the function given to strategy.run, or pass it as a PerReplica argument."
            )

        imported = tf.graph_util.import_graph_def(
            body,
            input_map={f"{op.name}:0": value(op) for op in entries},
            return_elements=results + effects,
            name="replica",
        )
        with tf.control_dependencies(imported[len(results) :]):
            return [tf.identity(tensor) for tensor in imported[: len(results)]]

    return one_replica
