extension [UInt8] {
    /// Overwrites the bytes from `offset` on; both must fit.
    package mutating func replaceBytes(at offset: Int, with source: Span<UInt8>) {
        precondition(offset >= 0 && source.count <= count - offset)
        // SAFETY: the line above checks that the destination has room; a span cannot overlap an array that is being
        // changed.
        unsafe withUnsafeMutableBufferPointer { destination in
            unsafe source.withUnsafeBufferPointer { source in
                guard let start = destination.baseAddress, let from = source.baseAddress else { return }
                unsafe (start + offset).update(from: from, count: source.count)
            }
        }
    }

    /// Overwrites the bytes from `offset` on with part of another array; both must fit.
    package mutating func replaceBytes(at offset: Int, with source: [UInt8], _ range: Range<Int>) {
        replaceBytes(at: offset, with: source.span.extracting(range))
    }

    /// Adds the bytes of a span.
    package mutating func append(contentsOf source: Span<UInt8>) {
        // SAFETY: the buffer is read only during the call.
        unsafe source.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    /// Adds a part of another array.
    package mutating func append(contentsOf source: [UInt8], _ range: Range<Int>) {
        append(contentsOf: source.span.extracting(range))
    }

    /// Adds the first bytes of another array.
    package mutating func append(contentsOf source: [UInt8], first count: Int) {
        append(contentsOf: source.span.extracting(first: count))
    }
}
