import CLinux

/// The arguments that this process was started with, its own name first; what is no UTF-8 is repaired.
///
/// Taken from where the kernel has put them, because the standard library has none in an embedded build and there may be no
/// `/proc` to read them from.
public func processArguments() -> [String] {
    var arguments: [String] = []
    // SAFETY: the list ends with a null, and each of its texts with a zero; nothing changes them.
    guard var place = unsafe linux_program_arguments() else { return [] }
    while let text = unsafe place.pointee {
        var bytes: [UInt8] = []
        var offset = 0
        while unsafe text[offset] != 0 {
            unsafe bytes.append(UInt8(bitPattern: text[offset]))
            offset += 1
        }
        arguments.append(String(decoding: bytes, as: UTF8.self))
        unsafe place += 1
    }
    return arguments
}
