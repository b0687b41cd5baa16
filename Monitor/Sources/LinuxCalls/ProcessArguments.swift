/// The arguments that this process was started with, its own name first; what is no UTF-8 is repaired.
///
/// Read from the kernel, because the standard library has none in an embedded build.
public func processArguments() throws(LinuxError) -> [String] {
    let file = try open("/proc/self/cmdline", .readOnly)
    var bytes: [UInt8] = []
    while try read(file.number, appendingTo: &bytes, maximumBytes: 4096) > 0 {}
    // Each argument ends with a zero byte.
    return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
        .map { String(decoding: $0, as: UTF8.self) }
}
