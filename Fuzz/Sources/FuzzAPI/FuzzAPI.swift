import APITestSupport

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    // SAFETY: the bytes are valid during the call, and are copied.
    fuzzAPI(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
