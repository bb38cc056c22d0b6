"""Export for embedding: a model or a pipeline as a graph of tensors, written as one ONNX file."""

from rawpipe.export.graph import Graph, Port
from rawpipe.export.pipeline import pipeline_graph, pipeline_inputs
from rawpipe.export.to_onnx import write_onnx

__all__ = ["Graph", "Port", "pipeline_graph", "pipeline_inputs", "write_onnx"]
