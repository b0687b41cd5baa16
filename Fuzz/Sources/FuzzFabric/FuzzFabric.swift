import FabricTestSupport
import Glibc

private let targets: [(name: String, run: @Sendable ([UInt8]) -> Void)] = [
    ("fabric", fuzzFabric), ("packets", fuzzPackets), ("flows", fuzzFlows),
]

private let chosen: @Sendable ([UInt8]) -> Void = {
    // SAFETY: the environment does not change; the string is copied.
    let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? "fabric"
    guard let target = targets.first(where: { $0.name == name }) else {
        print("FUZZ_TARGET is \(name); it must be one of \(targets.map(\.name).joined(separator: ", "))")
        exit(2)
    }
    return target.run
}()

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    // SAFETY: the bytes are valid during the call, and are copied.
    chosen(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
