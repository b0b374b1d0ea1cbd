"""The operators of torch that exported networks consist of; a .pt2 file with any other is not read.

None changes what it is given, and none touches a file, a device or Python; a test holds it. The list is what
`longtail export` writes of every kind of network that `longtail models` lists, and of every method's prediction.
"""


def _product(a: int, b: int) -> int:
    """Of two lengths; a graph may multiply many of them."""
    found = int(a) * int(b)
    if abs(found) >= 2**63:
        raise ValueError("a length is too large")
    return found


ON_LENGTHS = {"_operator.mul": _product}
"""Python's own operators, on numbers of images alone."""
OPERATORS = frozenset(
    f"aten.{name}"
    for name in (
        "_assert_tensor_metadata.default", "_native_batch_norm_legit_no_training.default",
        "_to_copy.default", "_unsafe_view.default", "_upsample_bicubic2d_aa.vec",
        "adaptive_avg_pool2d.default", "add.Tensor", "addcmul.default", "avg_pool2d.default",
        "baddbmm.default", "bmm.default", "cat.default", "clamp_min.default", "clone.default",
        "conv1d.default", "conv2d.default", "div.Tensor", "exp.default", "expand.default", "gelu.default",
        "group_norm.default", "hardsigmoid.default", "hardswish.default", "hardtanh.default",
        "layer_norm.default", "linalg_vector_norm.default", "linear.default", "log.default",
        "matmul.default", "max_pool2d.default", "mean.dim", "mul.Tensor", "pad.default", "permute.default",
        "pow.Tensor_Scalar", "relu.default", "rms_norm.default", "rsqrt.default",
        "scaled_dot_product_attention.default", "select.int", "sigmoid.default", "silu.default",
        "slice.Tensor", "softmax.int", "split.Tensor", "split_with_sizes.default", "sqrt.default",
        "stack.default", "sub.Tensor", "sum.dim_IntList", "sym_size.int", "transpose.int",
        "type_as.default", "unbind.int", "unsqueeze.default", "var.dim", "view.default",
    )
)  # fmt: skip
