import WireFormats

/// Reads the fields of one message; every failure is a `ProtocolError`.
struct MessageReader {
    private var fields: LittleEndianReader

    init(_ bytes: [UInt8]) { fields = LittleEndianReader(bytes) }

    var remaining: Int { fields.remaining }

    mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(
        _ type: Value.Type = Value.self
    ) throws(ProtocolError) -> Value {
        do { return try fields.read(type) } catch { throw .truncated }
    }

    mutating func bytes(_ count: Int) throws(ProtocolError) -> [UInt8] {
        do { return try fields.readBytes(count) } catch { throw .truncated }
    }

    mutating func rest(_ field: MessageField, atMost limit: Int) throws(ProtocolError) -> [UInt8] {
        guard remaining <= limit else { throw .outOfBounds(field) }
        return try bytes(remaining)
    }

    /// A length (u32) and as many bytes, none of them zero.
    mutating func string(_ field: MessageField, atMost limit: Int) throws(ProtocolError) -> ByteString {
        let count = try integer(UInt32.self)
        guard count <= UInt32(limit) else { throw .outOfBounds(field) }
        let text = ByteString(try bytes(Int(count)))
        guard !text.containsZero else { throw .outOfBounds(field) }
        return text
    }

    /// A string that must not be empty.
    mutating func nonEmptyString(_ field: MessageField, atMost limit: Int) throws(ProtocolError) -> ByteString {
        let text = try string(field, atMost: limit)
        guard !text.isEmpty else { throw .outOfBounds(field) }
        return text
    }

    /// A count (u32) and as many elements. Memory grows with the bytes that are there, not with the count.
    mutating func list<Element>(
        _ field: MessageField, atMost limit: Int,
        of element: (inout MessageReader) throws(ProtocolError) -> Element
    ) throws(ProtocolError) -> [Element] {
        let count = try integer(UInt32.self)
        guard count <= UInt32(limit) else { throw .outOfBounds(field) }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    /// Bits of an option set, none outside `known`.
    mutating func flags(_ field: MessageField, known: UInt32) throws(ProtocolError) -> UInt32 {
        let bits = try integer(UInt32.self)
        guard bits & ~known == 0 else { throw .outOfBounds(field) }
        return bits
    }

    /// The message must be used up.
    func finish() throws(ProtocolError) {
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
