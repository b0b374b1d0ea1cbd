"""The operators of torch that exported networks consist of; a .pt2 file with any other is not read.

None changes what it is given, and none touches a file, a device or Python; a test holds it. The list is what
`longtail export` writes of every kind of network that `longtail models` lists, and of every method's prediction.
"""

OPERATORS = frozenset(
    f"aten.{name}"
    for name in (
        "_assert_tensor_metadata.default", "_native_batch_norm_legit_no_training.default",
        "_to_copy.default", "_unsafe_view.default", "_upsample_bicubic2d_aa.vec",
        "adaptive_avg_pool2d.default", "add.Tensor", "avg_pool2d.default", "baddbmm.default", "bmm.default",
        "cat.default", "clamp_min.default", "clone.default", "conv2d.default", "div.Tensor",
        "expand.default", "gelu.default", "group_norm.default", "hardsigmoid.default", "hardswish.default",
        "layer_norm.default", "linalg_vector_norm.default", "linear.default", "max_pool2d.default",
        "mean.dim", "mul.Tensor", "permute.default", "relu.default", "rms_norm.default",
        "scaled_dot_product_attention.default", "select.int", "sigmoid.default", "silu.default",
        "slice.Tensor", "softmax.int", "sqrt.default", "stack.default", "sub.Tensor", "sym_size.int",
        "transpose.int", "unbind.int", "var.dim", "view.default",
    )
)  # fmt: skip
