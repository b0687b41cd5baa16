import CLinux
import LinuxCalls

/// Copies between the listed bytes and this process: headers, and answers too small for a system call.
extension IOVectorList {
    /// Copies the first bytes out and drops them from the list.
    ///
    /// - Returns: how many bytes were copied: `buffer.count`, or fewer when the list is shorter.
    public mutating func removeFirst(copyingInto buffer: UnsafeMutableRawBufferPointer) -> Int {
        let wanted = min(UInt64(buffer.count), totalBytes)
        var done: UInt64 = 0
        while done < wanted, count > 0 {
            // SAFETY: the vector is a checked range; the destination has room for `wanted` bytes.
            let vector = unsafe storage[first]
            let part = min(UInt64(unsafe vector.length), wanted &- done)
            if let source = unsafe vector.base, let destination = buffer.baseAddress {
                unsafe (destination + Int(truncatingIfNeeded: done))
                    .copyMemory(from: source, byteCount: Int(truncatingIfNeeded: part))
            }
            removeFirst(bytes: part)
            done &+= part
        }
        return Int(truncatingIfNeeded: done)
    }

    /// Copies bytes out, `offset` bytes behind the beginning; the list stays as it is.
    ///
    /// - Returns: how many bytes were copied: `buffer.count`, or fewer when the list ends before.
    public borrowing func copyOut(_ buffer: UnsafeMutableRawBufferPointer, atByte offset: UInt64 = 0) -> Int {
        var skip = offset
        var done = 0
        var index = first
        while index < first &+ count, done < buffer.count {
            // SAFETY: the vector is a checked range; the destination is the caller's own.
            let vector = unsafe storage[index]
            index &+= 1
            let length = unsafe UInt64(vector.length)
            if skip >= length {
                skip &-= length
                continue
            }
            let part = min(Int(truncatingIfNeeded: length &- skip), buffer.count &- done)
            if let base = unsafe vector.base, let destination = buffer.baseAddress {
                unsafe (destination + done).copyMemory(from: base + Int(truncatingIfNeeded: skip), byteCount: part)
            }
            skip = 0
            done &+= part
        }
        return done
    }

    /// Copies bytes in, `offset` bytes behind the beginning; the list stays as it is.
    ///
    /// - Returns: how many bytes were copied: `buffer.count`, or fewer when the list ends before.
    @discardableResult
    public borrowing func copyIn(_ buffer: UnsafeRawBufferPointer, atByte offset: UInt64 = 0) -> Int {
        var skip = offset
        var done = 0
        var index = first
        while index < first &+ count, done < buffer.count {
            // SAFETY: the vector is a checked range; the source is the caller's own.
            let vector = unsafe storage[index]
            index &+= 1
            let length = unsafe UInt64(vector.length)
            if skip >= length {
                skip &-= length
                continue
            }
            let part = min(Int(truncatingIfNeeded: length &- skip), buffer.count &- done)
            if let base = unsafe vector.base, let source = buffer.baseAddress {
                unsafe (base + Int(truncatingIfNeeded: skip)).copyMemory(from: source + done, byteCount: part)
            }
            skip = 0
            done &+= part
        }
        return done
    }
}

extension IOVectorList {
    /// Takes a little-endian integer from the front; nil, and what there was is dropped, when the list is too short.
    public mutating func takeFirst<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T? {
        var value: T = 0
        // SAFETY: the integer's own bytes.
        let count = unsafe withUnsafeMutableBytes(of: &value) { bytes in
            unsafe removeFirst(copyingInto: bytes)
        }
        return count == MemoryLayout<T>.size ? T(littleEndian: value) : nil
    }

    /// Copies bytes in, `offset` bytes behind the beginning; returns how many found room.
    @discardableResult
    public borrowing func copyIn(_ bytes: Span<UInt8>, atByte offset: UInt64 = 0) -> Int {
        // SAFETY: the span outlives the call.
        unsafe bytes.withUnsafeBytes { buffer in unsafe copyIn(buffer, atByte: offset) }
    }
}

extension IOVectorList {
    /// The address of the only vector's bytes, for the kernel; nil unless there is exactly one.
    public var singleAddress: UInt64? {
        // SAFETY: a filled entry.
        count == 1 ? UInt64(UInt(bitPattern: unsafe storage[first].base)) : nil
    }
}
