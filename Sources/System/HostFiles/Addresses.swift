import LinuxCalls

/// Calls the kernel with the address and length of an array that it may fill.
///
/// - Safety: `call` may use the address only until it returns.
@unsafe @discardableResult func withAddress<R>(
    of bytes: inout [UInt8], _ call: (_ address: Int, _ count: Int) throws(LinuxError) -> R
) throws(LinuxError) -> R {
    // SAFETY: the array is not resized while its address is in use.
    unsafe try bytes.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
        try call(Int(bitPattern: buffer.baseAddress), buffer.count)
    }
}

/// Calls the kernel with the address of a value that it may fill.
///
/// - Safety: `call` may use the address only until it returns.
@unsafe @discardableResult func withAddress<T, R>(of value: inout T, _ call: (Int) throws(LinuxError) -> R)
    throws(LinuxError) -> R
{
    // SAFETY: the pointer is valid during the call.
    unsafe try withUnsafeMutablePointer(to: &value) { pointer throws(LinuxError) in
        try call(Int(bitPattern: pointer))
    }
}
