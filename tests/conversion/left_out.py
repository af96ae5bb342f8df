"""What of ONNX's own test cases is left out, and why; a test holds it against what happens.

Names of cases, or of one of their forms where the others pass.
"""

from __future__ import annotations

# Dropout and batch norms in training mode.
OF_TRAINING = {
    "test_batchnorm_epsilon_training_mode",
    "test_batchnorm_example_training_mode",
    "test_training_dropout",
    "test_training_dropout_default",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
    "test_training_dropout_zero_ratio@24",
    "test_training_dropout_zero_ratio_mask@22",
}
# Random numbers.
AT_RANDOM = {
    "test_bernoulli",
    "test_bernoulli_double",
    "test_bernoulli_double_expanded",
    "test_bernoulli_expanded",
    "test_bernoulli_seed",
    "test_bernoulli_seed_expanded",
}
# ONNX Runtime and PyTorch take the length in whole rows where corners are aligned.
OF_FRACTIONS_OF_ROWS = {
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
}
# ONNX Runtime and PyTorch count places in the shape that is asked for.
OF_PLACES_IN_ANOTHER_SHAPE = {
    "test_maxunpool_export_with_output_shape",
}
# Slopes along the second axis, as operator set 6 has them.
OF_OPERATOR_SET_6 = {
    "test_PReLU_1d_multiparam",
    "test_PReLU_2d_multiparam",
    "test_PReLU_3d_multiparam",
}
# TFLite's SOFTPLUS is off by 1.5e-6 far below 0.
OF_SMALL_NUMBERS = {
    "test_mish",
    "test_mish_expanded",
}
# TFLite allocates no tensors of size 0.
OF_TENSORS_WITHOUT_NUMBERS = {
    "test_causal_conv_with_state_kernel_size_one",
    "test_causal_conv_with_state_kernel_size_one_expanded",
    "test_constantofshape_int_shape_zero",
    "test_reduce_log_sum_exp_empty_set_expanded",
    "test_reduce_sum_empty_set_non_reduced_axis_zero",
    "test_reshape_allowzero_reordered",
    "test_shape_start_greater_than_end",
    "test_slice_start_out_of_bounds",
    "test_split_zero_size_splits_opset13",
    "test_split_zero_size_splits_opset18",
    "test_tril_zero",
    "test_triu_zero",
    "y = Slice(x, ends, down, axes, back)",
}
# TFLite has no kernel, or none of that type.
WITHOUT_A_KERNEL = {
    "test_bitshift_left_int32",
    "test_bitshift_left_int32_negative_shift",
    "test_bitshift_left_int32_overflow",
    "test_bitshift_left_int32_shift_ge_width",
    "test_bitshift_left_int64",
    "test_bitshift_right_int32_negative_shift",
    "test_bitshift_right_int64",
    "test_det_2d",
    "test_det_nd",
    "test_pow_types_float32_uint64",
    "test_pow_types_int64_float32",
    "test_pow_types_int64_int64",
    "test_roialign_aligned_true",
    'a = Abs(x) u = Cast<to = 2>(a) b = BitShift<direction = "LEFT">(u, one) y = Cast<to = 1>(b)',
}
# Boxes, which classifiers have none of.
OF_BOXES = {
    "test_nonmaxsuppression_center_point_box_format",
    "test_nonmaxsuppression_flipped_coordinates",
    "test_nonmaxsuppression_identical_boxes",
    "test_nonmaxsuppression_iou_threshold_boundary",
    "test_nonmaxsuppression_limit_output_size",
    "test_nonmaxsuppression_single_box",
    "test_nonmaxsuppression_suppress_by_IOU",
    "test_nonmaxsuppression_suppress_by_IOU_and_scores",
    "test_nonmaxsuppression_two_batches",
    "test_nonmaxsuppression_two_classes",
    "test_roialign_aligned_false",
    "test_roialign_mode_max",
}
# Sequences and optional values as inputs of loops and branches.
OF_SEQUENCES = {
    "test_if_opt",
    "test_loop13_seq",
    "test_loop16_seq_none",
    "test_optional_has_element_empty_no_input_name_optional_input",
    "test_optional_has_element_empty_no_input_name_tensor_input",
    "test_sequence_map_add_1_sequence_1_tensor",
    "test_sequence_map_add_1_sequence_1_tensor_expanded",
    "test_sequence_map_add_2_sequences",
    "test_sequence_map_add_2_sequences_expanded",
    "test_sequence_map_extract_shapes",
    "test_sequence_map_extract_shapes_expanded",
    "test_sequence_map_identity_1_sequence",
    "test_sequence_map_identity_1_sequence_1_tensor",
    "test_sequence_map_identity_1_sequence_1_tensor_expanded",
    "test_sequence_map_identity_1_sequence_expanded",
    "test_sequence_map_identity_2_sequences",
    "test_sequence_map_identity_2_sequences_expanded",
}
# Loops over values rather than shapes.
OF_LOOPS = {
    "test_loop11",
    "test_scan_sum",
}
# Bodies of functions that are lowered as one operator.
OF_BODIES = {
    "test_affine_grid_2d_align_corners_expanded",
    "test_affine_grid_2d_expanded",
    "test_affine_grid_3d_align_corners_expanded",
    "test_affine_grid_3d_expanded",
    "test_linear_attention_decode_step_expanded",
    "test_linear_attention_delta_expanded",
    "test_linear_attention_explicit_scale_expanded",
    "test_linear_attention_fp16_expanded",
    "test_linear_attention_gated_delta_beta_scalar_expanded",
    "test_linear_attention_gated_delta_expanded",
    "test_linear_attention_gated_delta_gqa_expanded",
    "test_linear_attention_gated_delta_mqa_expanded",
    "test_linear_attention_gated_expanded",
    "test_linear_attention_gated_per_head_decay_expanded",
    "test_linear_attention_linear_expanded",
    "test_linear_attention_linear_t1_no_past_expanded",
    "test_linear_attention_no_past_explicit_zeros_expanded",
    "test_linear_attention_prefill_with_past_expanded",
    "test_range_bfloat16_type_positive_delta_expanded",
    "test_range_float16_type_positive_delta_expanded",
    "test_range_float_type_positive_delta_expanded",
    "test_range_int32_type_negative_delta_expanded",
}
# Scores hidden by -inf that are an output: TensorFlow's converter writes the least float32.
OF_INFINITIES = {
    "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal_expanded",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal",
    "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal_expanded",
}
# Of operator set 27, above those that are read.
OF_LINEAR_ATTENTION = {
    "test_linear_attention_decode_step",
    "test_linear_attention_delta",
    "test_linear_attention_explicit_scale",
    "test_linear_attention_fp16",
    "test_linear_attention_gated",
    "test_linear_attention_gated_delta",
    "test_linear_attention_gated_delta_beta_scalar",
    "test_linear_attention_gated_delta_gqa",
    "test_linear_attention_gated_delta_mqa",
    "test_linear_attention_gated_per_head_decay",
    "test_linear_attention_linear",
    "test_linear_attention_linear_t1_no_past",
    "test_linear_attention_no_past_explicit_zeros",
    "test_linear_attention_prefill_with_past",
}
FORMS = (
    OF_TRAINING
    | AT_RANDOM
    | OF_FRACTIONS_OF_ROWS
    | OF_PLACES_IN_ANOTHER_SHAPE
    | OF_OPERATOR_SET_6
    | OF_SMALL_NUMBERS
    | OF_TENSORS_WITHOUT_NUMBERS
    | WITHOUT_A_KERNEL
    | OF_BOXES
    | OF_SEQUENCES
    | OF_LOOPS
    | OF_BODIES
    | OF_INFINITIES
    | OF_LINEAR_ATTENTION
)
# Operators without a handler: of training, strings, files, signals, and of other domains.
OPERATORS = {
    "Adagrad",
    "Adam",
    "ArrayFeatureExtractor",
    "Binarizer",
    "BitCast",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "CumProd",
    "DFT",
    "FlexAttention",
    "Gradient",
    "ImageDecoder",
    "LabelEncoder",
    "MelWeightMatrix",
    "Momentum",
    "RegexFullMatch",
    "STFT",
    "StringConcat",
    "StringNormalizer",
    "StringSplit",
    "TensorScatter",
    "TreeEnsemble",
    "Unique",
}
# Strings, and numbers of 8 bits or fewer that onnx-tf and TFLite lack.
TYPES = {
    "float4_e2m1fn",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "int16",
    "int2",
    "int4",
    "int8",
    "object",
    "uint16",
    "uint2",
    "uint32",
    "uint4",
    "uint64",
    "uint8",
}
