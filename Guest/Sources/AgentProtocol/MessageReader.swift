import WireFormats

/// Reads the fields of one message, and keeps the first error until `finish`.
///
/// After an error every field reads as zero or empty, so that a message is read field by field without a way out at each;
/// what was read is worth something only when `finish` has not thrown.
struct MessageReader {
    private var fields: LittleEndianReader
    private var failure: ProtocolError?

    init(_ bytes: [UInt8]) { fields = LittleEndianReader(bytes) }

    private var remaining: Int { fields.remaining }

    /// What was read is not a message. Only the first error counts.
    @inline(never)
    mutating func fail(_ error: ProtocolError) {
        if failure == nil { failure = error }
    }

    @inline(never)
    mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_ type: Value.Type = Value.self) -> Value {
        guard failure == nil, let value = try? fields.read(type) else {
            fail(.truncated)
            return 0
        }
        return value
    }

    @inline(never)
    mutating func bytes(_ count: Int) -> [UInt8] {
        guard failure == nil, let bytes = try? fields.readBytes(count) else {
            fail(.truncated)
            return []
        }
        return bytes
    }

    mutating func rest(_ field: MessageField, atMost limit: Int) -> [UInt8] {
        if remaining > limit { fail(.outOfBounds(field)) }
        return bytes(remaining)
    }

    /// A length or count (u32); zero when it is over the limit.
    @inline(never)
    mutating func count(_ field: MessageField, atMost limit: Int) -> Int {
        let count = integer(UInt32.self)
        guard count <= UInt32(limit) else {
            fail(.outOfBounds(field))
            return 0
        }
        return Int(count)
    }

    /// A length (u32) and as many bytes, none of them zero.
    @inline(never)
    mutating func string(_ field: MessageField, atMost limit: Int) -> ByteString {
        let text = ByteString(bytes(count(field, atMost: limit)))
        if text.containsZero { fail(.outOfBounds(field)) }
        return text
    }

    /// A string that must not be empty.
    @inline(never)
    mutating func nonEmptyString(_ field: MessageField, atMost limit: Int) -> ByteString {
        let text = string(field, atMost: limit)
        if text.isEmpty { fail(.outOfBounds(field)) }
        return text
    }

    /// A count (u32) and as many elements. Memory grows with the bytes that are there, not with the count.
    mutating func list<Element>(
        _ field: MessageField, atMost limit: Int, of element: (inout MessageReader) -> Element
    ) -> [Element] {
        var elements: [Element] = []
        for _ in 0..<count(field, atMost: limit) where failure == nil { elements.append(element(&self)) }
        return elements
    }

    /// Bits of an option set, none outside `known`.
    @inline(never)
    mutating func flags(_ field: MessageField, known: UInt32) -> UInt32 {
        let bits = integer(UInt32.self)
        if bits & ~known != 0 { fail(.outOfBounds(field)) }
        return bits
    }

    /// The message must be whole and used up.
    func finish() throws(ProtocolError) {
        if let failure { throw failure }
        guard remaining == 0 else { throw .trailingBytes }
    }
}

extension LittleEndianWriter {
    mutating func write(_ text: ByteString) {
        write(UInt32(truncatingIfNeeded: text.count))
        writeBytes(text.bytes)
    }

    mutating func writeList<Element>(_ elements: [Element], _ element: (inout LittleEndianWriter, Element) -> Void) {
        write(UInt32(truncatingIfNeeded: elements.count))
        for each in elements { element(&self, each) }
    }
}
