"""The operations that graphs of others may run: all that computes with numbers, texts and pictures in memory.

Whatever reads or writes files, prints, speaks with debuggers, devices or other machines, calls code of the process or
ends it is not here; and what TensorFlow adds is not allowed before somebody has looked at it, but for later versions of
what is here (`AddV2`). That an operation is here does not make its kernel safe from crafted numbers.
"""

from __future__ import annotations

import re

_BY_SUBJECT = {
    "functions and control flow": """
        _SwitchN Assert Case ControlTrigger DeviceIndex Enter Exit FakeParam Identity IdentityN If LoopCond
        Merge NextIteration NoOp PartitionedCall RefEnter RefExit RefIdentity RefMerge RefNextIteration
        RefSelect RefSwitch Select Stack StackClose StackPop StackPush StatefulPartitionedCall StatelessCase
        StatelessIf StatelessWhile Switch While
    """,
    "variables, and what trains them": """
        ApplyAdadelta ApplyAdagrad ApplyAdagradDA ApplyAdam ApplyAdaMax ApplyAddSign ApplyCenteredRMSProp
        ApplyFtrl ApplyGradientDescent ApplyMomentum ApplyPowerSign ApplyProximalAdagrad
        ApplyProximalGradientDescent ApplyRMSProp Assign AssignAdd AssignAddVariableOp AssignSub
        AssignSubVariableOp AssignVariableOp CountUpTo DestroyTemporaryVariable DisableCopyOnRead
        IsVariableInitialized ReadVariableOp ResourceApplyAdadelta ResourceApplyAdagrad ResourceApplyAdagradDA
        ResourceApplyAdam ResourceApplyAdaMax ResourceApplyAdamWithAmsgrad ResourceApplyAddSign
        ResourceApplyCenteredRMSProp ResourceApplyFtrl ResourceApplyGradientDescent ResourceApplyKerasMomentum
        ResourceApplyMomentum ResourceApplyPowerSign ResourceApplyProximalAdagrad
        ResourceApplyProximalGradientDescent ResourceApplyRMSProp ResourceCountUpTo ResourceGather
        ResourceGatherNd ResourceScatterAdd ResourceScatterDiv ResourceScatterMax ResourceScatterMin
        ResourceScatterMul ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub
        ResourceScatterNdUpdate ResourceScatterSub ResourceScatterUpdate ResourceSparseApplyAdadelta
        ResourceSparseApplyAdagrad ResourceSparseApplyAdagradDA ResourceSparseApplyCenteredRMSProp
        ResourceSparseApplyFtrl ResourceSparseApplyKerasMomentum ResourceSparseApplyMomentum
        ResourceSparseApplyProximalAdagrad ResourceSparseApplyProximalGradientDescent ResourceSparseApplyRMSProp
        ResourceStridedSliceAssign ScatterAdd ScatterDiv ScatterMax ScatterMin ScatterMul ScatterNd ScatterNdAdd
        ScatterNdMax ScatterNdMin ScatterNdNonAliasingAdd ScatterNdSub ScatterNdUpdate ScatterSub ScatterUpdate
        SparseApplyAdadelta SparseApplyAdagrad SparseApplyAdagradDA SparseApplyCenteredRMSProp SparseApplyFtrl
        SparseApplyMomentum SparseApplyProximalAdagrad SparseApplyProximalGradientDescent SparseApplyRMSProp
        StridedSliceAssign TemporaryVariable TensorStridedSliceUpdate VarHandleOp Variable VariableShape
        VarIsInitializedOp
    """,
    "what draws": """
        Multinomial NonDeterministicInts ParameterizedTruncatedNormal RandomCrop RandomGamma RandomGammaGrad
        RandomIndexShuffle RandomPoisson RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
        RngReadAndSkip RngSkip SampleDistortedBoundingBox SobolSample StatefulRandomBinomial
        StatefulStandardNormal StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt
        StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGamma
        StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
        StatelessRandomPoisson StatelessRandomUniform StatelessRandomUniformFullInt StatelessRandomUniformInt
        StatelessSampleDistortedBoundingBox StatelessShuffle StatelessTruncatedNormal TruncatedNormal
    """,
    "lists of tensors": """
        EmptyTensorList TensorArray TensorArrayClose TensorArrayConcat TensorArrayGather TensorArrayGrad
        TensorArrayGradWithShape TensorArrayPack TensorArrayRead TensorArrayScatter TensorArraySize
        TensorArraySplit TensorArrayUnpack TensorArrayWrite TensorListConcat TensorListConcatLists
        TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
        TensorListPopBack TensorListPushBack TensorListPushBackBatch TensorListReserve TensorListResize
        TensorListScatter TensorListScatterIntoExistingList TensorListSetItem TensorListSplit TensorListStack
    """,
    "text, records and tables in memory": """
        AnonymousHashTable AnonymousMutableHashTable AsString AudioSummary DecodeBase64 DecodeCSV
        DecodePaddedRaw DecodeRaw EditDistance EncodeBase64 Fingerprint HashTable HistogramSummary ImageSummary
        InitializeTable LookupTableExport LookupTableFind LookupTableImport LookupTableInsert LookupTableRemove
        LookupTableSize MergeSummary MutableDenseHashTable MutableHashTable MutableHashTableOfTensors
        ParseExample ParseSequenceExample ParseSingleExample ParseSingleSequenceExample ParseTensor ReduceJoin
        RegexFullMatch RegexReplace ScalarSummary SerializeManySparse SerializeSparse SerializeTensor
        StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams
        StringSplit StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong
        StringToNumber StringUpper Substr TensorSummary UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode
        UnicodeScript UnicodeTranscode UnsortedSegmentJoin
    """,
    "pictures and sounds": """
        AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation AudioSpectrogram CombinedNonMaxSuppression
        CropAndResize CropAndResizeGradBoxes CropAndResizeGradImage DecodeAndCropJpeg DecodeBmp DecodeGif
        DecodeImage DecodeJpeg DecodeJxl DecodePng DecodeWav DecodeWebP DrawBoundingBoxes EncodeJpeg
        EncodeJpegVariableQuality EncodePng EncodeWav ExtractGlimpse ExtractImagePatches ExtractJpegShape
        FusedResizeAndPadConv2D HSVToRGB ImageProjectiveTransform Mfcc NonMaxSuppression
        NonMaxSuppressionWithOverlaps QuantizedResizeBilinear ResizeArea ResizeBicubic ResizeBicubicGrad
        ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad RGBToHSV
        ScaleAndTranslate ScaleAndTranslateGrad
    """,
    "numbers of eight bits": """
        FakeQuantWithMinMaxArgs FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVars
        FakeQuantWithMinMaxVarsGradient FakeQuantWithMinMaxVarsPerChannel
        FakeQuantWithMinMaxVarsPerChannelGradient Quantize QuantizeAndDequantize QuantizeAndDequantizeV4Grad
        QuantizedAdd QuantizedAvgPool QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd QuantizedConcat
        QuantizedConv2D QuantizedConv2DAndRelu QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize
        QuantizedConv2DPerChannel QuantizedConv2DWithBias QuantizedConv2DWithBiasAndRelu
        QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DWithBiasAndRequantize
        QuantizedConv2DWithBiasSignedSumAndReluAndRequantize QuantizedConv2DWithBiasSumAndRelu
        QuantizedConv2DWithBiasSumAndReluAndRequantize QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias
        QuantizedDepthwiseConv2DWithBiasAndRelu QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize
        QuantizedInstanceNorm QuantizedMatMul QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize
        QuantizedMatMulWithBiasAndRelu QuantizedMatMulWithBiasAndReluAndRequantize
        QuantizedMatMulWithBiasAndRequantize QuantizedMaxPool QuantizedMul QuantizeDownAndShrinkRange
        QuantizedRelu QuantizedRelu6 QuantizedReluX QuantizedReshape RequantizationRange
        RequantizationRangePerChannel Requantize RequantizePerChannel UniformQuantize UniformQuantizedAdd
        UniformQuantizedClipByValue UniformQuantizedConvolution UniformQuantizedConvolutionHybrid
        UniformQuantizedDot UniformQuantizedDotHybrid UniformRequantize
    """,
    "sparse and ragged tensors, and segments": """
        CSRSparseMatrixComponents CSRSparseMatrixToDense CSRSparseMatrixToSparseTensor DenseCountSparseOutput
        DenseToCSRSparseMatrix DeserializeManySparse DeserializeSparse RaggedBincount RaggedCountSparseOutput
        RaggedCross RaggedFillEmptyRows RaggedFillEmptyRowsGrad RaggedGather RaggedRange RaggedTensorFromVariant
        RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant RaggedTensorToVariantGradient SegmentMax
        SegmentMean SegmentMin SegmentProd SegmentSum SparseAdd SparseAddGrad SparseBincount SparseConcat
        SparseCountSparseOutput SparseCross SparseCrossHashed SparseDenseCwiseAdd SparseDenseCwiseDiv
        SparseDenseCwiseMul SparseFillEmptyRows SparseFillEmptyRowsGrad SparseMatMul SparseMatrixAdd
        SparseMatrixMatMul SparseMatrixMul SparseMatrixNNZ SparseMatrixSoftmax SparseMatrixSoftmaxGrad
        SparseMatrixSparseCholesky SparseMatrixSparseMatMul SparseMatrixTranspose SparseMatrixZeros
        SparseReduceMax SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse SparseReorder SparseReshape
        SparseSegmentMean SparseSegmentMeanGrad SparseSegmentMeanWithNumSegments SparseSegmentSqrtN
        SparseSegmentSqrtNGrad SparseSegmentSqrtNWithNumSegments SparseSegmentSum SparseSegmentSumGrad
        SparseSegmentSumWithNumSegments SparseSlice SparseSliceGrad SparseSoftmax
        SparseSoftmaxCrossEntropyWithLogits SparseSparseMaximum SparseSparseMinimum SparseSplit
        SparseTensorDenseAdd SparseTensorDenseMatMul SparseTensorToCSRSparseMatrix SparseToDense
        UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
    """,
    "matrices and transforms": """
        _FusedMatMul BandedTriangularSolve BatchCholesky BatchCholeskyGrad BatchFFT BatchFFT2D BatchFFT3D
        BatchIFFT BatchIFFT2D BatchIFFT3D BatchMatMul BatchMatrixBandPart BatchMatrixDeterminant BatchMatrixDiag
        BatchMatrixDiagPart BatchMatrixInverse BatchMatrixSetDiag BatchMatrixSolve BatchMatrixSolveLs
        BatchMatrixTriangularSolve BatchSelfAdjointEig BatchSvd Cholesky CholeskyGrad Cross Diag DiagPart Eig
        Einsum FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND
        LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart
        MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag MatrixSolve MatrixSolveLs MatrixSquareRoot
        MatrixTriangularSolve Qr RFFT RFFT2D RFFT3D RFFTND SelfAdjointEig Svd TridiagonalMatMul TridiagonalSolve
    """,
    "layers and their gradients": """
        _FusedBatchNormEx _FusedBatchNormGradEx _FusedConv2D _FusedConv3D _FusedDepthwiseConv2dNative AvgPool
        AvgPool3D AvgPool3DGrad AvgPoolGrad BatchNormWithGlobalNormalization
        BatchNormWithGlobalNormalizationGrad BatchToSpace BatchToSpaceND BiasAdd BiasAddGrad BlockLSTM
        BlockLSTMGrad Conv Conv2D Conv2DBackpropFilter Conv2DBackpropInput Conv3D Conv3DBackpropFilter
        Conv3DBackpropInput CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss DataFormatDimMap DataFormatVecPermute
        DepthToSpace DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter
        DepthwiseConv2dNativeBackpropInput Dilation2D Dilation2DBackpropFilter Dilation2DBackpropInput Elu
        EluGrad ExtractVolumePatches FractionalAvgPool FractionalAvgPoolGrad FractionalMaxPool
        FractionalMaxPoolGrad FusedBatchNorm FusedBatchNormGrad FusedPadConv2D GRUBlockCell GRUBlockCellGrad
        InTopK L2Loss LeakyRelu LeakyReluGrad LogSoftmax LRN LRNGrad LSTMBlockCell LSTMBlockCellGrad MaxPool
        MaxPool3D MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad MaxPoolGradGradWithArgmax
        MaxPoolGradWithArgmax MaxPoolWithArgmax MirrorPad MirrorPadGrad Relu Relu6 Relu6Grad ReluGrad Selu
        SeluGrad Sigmoid SigmoidGrad Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign
        SoftsignGrad SpaceToBatch SpaceToBatchND SpaceToDepth Tanh TanhGrad
    """,
    "arrays and arithmetic": """
        _UnaryOpsComposition Abs AccumulateN Acos Acosh Add AddN All Angle Any ApproximateEqual ApproxTopK
        ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1
        BesselK0 BesselK0e BesselK1 BesselK1e BesselY0 BesselY1 Betainc Bincount Bitcast BitwiseAnd BitwiseOr
        BitwiseXor BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil CheckNumerics ClipByValue
        Complex ComplexAbs Concat ConcatOffset Conj ConjugateTranspose Const Cos Cosh Cumprod Cumsum
        CumulativeLogsumexp Dawsn DenseBincount Dequantize Digamma Div DivNoNan DynamicPartition DynamicStitch
        EnsureShape Equal Erf Erfc Erfinv EuclideanNorm Exp ExpandDims Expint Expm1 Fill Floor FloorDiv FloorMod
        FresnelCos FresnelSin Gather GatherNd Greater GreaterEqual GuaranteeConst HistogramFixedWidth Igamma
        Igammac IgammaGradA Imag InplaceAdd InplaceSub InplaceUpdate Inv Invert InvertPermutation InvGrad
        IsFinite IsInf IsNan KthOrderStatistic LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p
        LogicalAnd LogicalNot LogicalOr LowerBound Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg
        NextAfter NotEqual NthElement OneHot OnesLike Pack Pad ParallelConcat ParallelDynamicStitch Placeholder
        PlaceholderWithDefault Polygamma PopulationCount Pow PreventGradient Prod Range Rank Real RealDiv
        Reciprocal ReciprocalGrad Reshape Reverse ReverseSequence RightShift Rint Roll Round Rsqrt RsqrtGrad
        Shape ShapeN Sign Sin Sinh Size Slice Snapshot Spence Split SplitV Sqrt SqrtGrad Square
        SquaredDifference Squeeze StopGradient StridedSlice StridedSliceGrad Sub Sum Tan TensorScatterAdd
        TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile TileGrad ToBool TopK
        TopKUnique TopKWithUnique Transpose TruncateDiv TruncateMod UniformDequantize Unique UniqueWithCounts
        Unpack UnravelIndex UpperBound Where Xdivy Xlog1py Xlogy ZerosLike Zeta
    """,
}
_ALLOWED = frozenset(name for names in _BY_SUBJECT.values() for name in names.split())
_VERSION = re.compile(r"V\d$")
# What holds pictures back in memory, in front of a training. It may be there, and be looked at; nothing of it is run.
_IDLE = re.compile(r"(FIFO|PaddingFIFO|RandomShuffle|Priority)Queue|Queue[A-Z]\w*|Iterator(GetNext\w*)?|(Uns|S)tage\w*")


def is_allowed(kind: str) -> bool:
    """Whether an operation of that type may be run, whoever has written it."""
    return _VERSION.sub("", kind) in _ALLOWED


def is_idle(kind: str) -> bool:
    """Whether an operation of that type, which is not allowed, does nothing by being there: a queue, an iterator."""
    return _IDLE.fullmatch(_VERSION.sub("", kind)) is not None
