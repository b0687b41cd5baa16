import BootTestSupport

/// What libFuzzer calls with each input. Both targets, elf and bzimage, are told apart by their corpora alone.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    // SAFETY: the bytes are valid during the call, and are copied.
    fuzzKernelImage(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
