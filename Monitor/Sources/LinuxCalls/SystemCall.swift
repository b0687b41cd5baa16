import CLinux

/// The one door into the kernel for the monitor and the guest agent.
///
/// The result is the kernel's value, zero or positive. Interrupted calls (EINTR) are reported, not repeated: see
/// `systemCallRestarting`.
/// - Throws: `LinuxError` with the kernel's error number.
/// - Safety: the caller answers for every address among the arguments, for as long as the kernel may use it.
@unsafe @discardableResult @inline(__always)
public func systemCall(
    _ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
) throws(LinuxError) -> Int {
    let result = linux_system_call(Int(number), a, b, c, d, e, f)
    if result < 0 && result > -4096 { throw LinuxError(Int32(truncatingIfNeeded: -result)) }
    return result
}

/// As `systemCall`, made again for as long as a signal interrupts it.
@unsafe @discardableResult @inline(__always)
public func systemCallRestarting(
    _ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
) throws(LinuxError) -> Int {
    while true {
        let result = linux_system_call(Int(number), a, b, c, d, e, f)
        if result == -Int(EINTR) { continue }
        if result < 0 && result > -4096 { throw LinuxError(Int32(truncatingIfNeeded: -result)) }
        return result
    }
}

/// The address of a value, as a system call argument.
@unsafe @inline(__always)
public func address<T: ~Copyable>(_ pointer: UnsafePointer<T>) -> Int { Int(bitPattern: pointer) }

/// The address of a value that the kernel fills in, as a system call argument.
@unsafe @inline(__always)
public func address<T: ~Copyable>(_ pointer: UnsafeMutablePointer<T>) -> Int { Int(bitPattern: pointer) }

/// Calls `body` with `text` as the kernel wants names: UTF-8, ended by a zero byte.
///
/// - Throws: EINVAL when the text holds a zero byte (the kernel would silently see another name), else what `body` throws.
@inline(__always)
public func withKernelString<R: ~Copyable>(
    _ text: String, _ body: (Int) throws(LinuxError) -> R
) throws(LinuxError) -> R {
    var bytes = Array(text.utf8)
    if bytes.contains(0) { throw LinuxError(EINVAL) }
    bytes.append(0)
    // SAFETY: the array is alive until after `body`, which receives only its address.
    return unsafe try bytes.span.withUnsafeBufferPointer { buffer throws(LinuxError) in
        try body(Int(bitPattern: buffer.baseAddress))
    }
}
