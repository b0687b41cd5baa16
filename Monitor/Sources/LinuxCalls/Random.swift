import CLinux

/// Bytes from the kernel's random generator; at most 256, which it always gives whole.
public func randomBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: min(count, 256))
    // SAFETY: the kernel fills the array during the call.
    unsafe bytes.withUnsafeMutableBufferPointer { buffer in
        _ = linux_system_call(
            Int(__NR_getrandom), Int(bitPattern: buffer.baseAddress), buffer.count, 0, 0, 0, 0)
    }
    return bytes
}
