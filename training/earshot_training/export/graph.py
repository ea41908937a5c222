"""A small builder of ONNX graphs, node by node."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
# With the Attention operator; its first runtimes read this IR.
ATTENTION_OPSET = 23
IR_VERSIONS = {OPSET: 10, ATTENTION_OPSET: 11}
MICROSOFT = "com.microsoft"

FLOAT = TensorProto.FLOAT
FLOAT16 = TensorProto.FLOAT16
INT32 = TensorProto.INT32
INT64 = TensorProto.INT64

Attribute = int | float | Sequence[int]
Dims = Sequence[int | str]


class GraphBuilder:
    """Collects nodes and constants; values are named by strings, as in ONNX."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, element_type: int, dims: Dims) -> str:
        """Declare an input of the graph."""
        self._inputs.append(helper.make_tensor_value_info(name, element_type, dims))
        return name

    def output(self, name: str, element_type: int, dims: Dims) -> None:
        """Declare a value as an output of the graph."""
        self._outputs.append(helper.make_tensor_value_info(name, element_type, dims))

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Store a constant under a name of its own."""
        if name in self._constants:
            raise ValueError(f"Expected a new constant, but {name} exists")
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def floats(self, *values: float) -> str:
        """Store a short float32 vector, or find the one already stored."""
        return self._shared("floats", np.asarray(values, dtype=np.float32))

    def integers(self, *values: int) -> str:
        """Store a short int64 vector (a shape, a list of axes), or find the one already stored."""
        return self._shared("integers", np.asarray(values, dtype=np.int64))

    def node(
        self,
        operator: str,
        *inputs: str,
        name: str | None = None,
        domain: str = "",
        **attributes: Attribute,
    ) -> str:
        """Add a node with one output, which bears the node's name; an empty input is left out."""
        name = name or f"{operator}_{len(self._nodes)}"
        self._add(operator, inputs, [name], name, domain, attributes)
        return name

    def nodes(self, operator: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a node with several outputs, each under its own name."""
        self._add(operator, inputs, outputs, f"{operator}_{len(self._nodes)}", "", {})

    def split(self, x: str, count: int, *, axis: int, name: str) -> list[str]:
        """Add a Split into equal parts."""
        outputs = [f"{name}.{index}" for index in range(count)]
        self._add("Split", [x], outputs, name, "", {"axis": axis, "num_outputs": count})
        return outputs

    def build(self, name: str, description: str) -> onnx.ModelProto:
        """Assemble the graph and have the ONNX checker look at it."""
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._constants.values())
        )
        model = helper.make_model(
            graph,
            producer_name="earshot",
            doc_string=description,
            ir_version=IR_VERSIONS[self.opset],
            opset_imports=[helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)],
        )
        onnx.checker.check_model(model)
        return model

    def _add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        name: str,
        domain: str,
        attributes: Mapping[str, Attribute],
    ) -> None:
        node = helper.make_node(operator, inputs, outputs, name=name, domain=domain)
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self._nodes.append(node)

    def _shared(self, kind: str, values: NDArray[np.generic]) -> str:
        name = f"{kind}({', '.join(str(value) for value in values)})"
        return name if name in self._constants else self.constant(name, values)
