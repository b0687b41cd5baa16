import MetadataService
import WireFormats

/// A document and, behind the first zero byte, a path in it: what is found in the text that is kept must be what a walk through
/// the tree of values finds.
public func fuzzMetadataPath(_ input: [UInt8]) {
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    guard let document = parts.first, let value = try? JSONParser.parse(Array(document)) else { return }
    let store = MetadataStore(limitBytes: 1 << 16)
    guard store.set(value) else { return }
    let path = Array(parts.count > 1 ? parts[1] : [])
    let kept = JSONParser.parseWritten(store.written)
    var found: JSONValue? = kept
    for part in path.split(separator: 0x2f) { found = found.flatMap { child(of: $0, plain(Array(part))) } }
    let json = try? store.text(at: path, isJSON: true)
    var expected: [UInt8]?
    if let found {
        expected = []
        found.write(to: &expected!)
    }
    precondition(json == expected, "the text and the tree differ")
    let text = try? store.text(at: path, isJSON: false)
    switch found {
    case .string(let string): precondition(text == Array(string.utf8), "a text differs")
    case .object(let members):
        let names = members.map { Array($0.name.utf8) + ($0.value.members == nil ? [] : [0x2f]) }
        precondition(text == Array(names.joined(separator: [0x0a])), "a list of names differs")
    default: precondition(text == nil, "text where there is none")
    }
}

private func child(of value: JSONValue, _ name: [UInt8]) -> JSONValue? {
    switch value {
    case .object(let members): return members.first { Array($0.name.utf8) == name }?.value
    case .array(let elements):
        // As RFC 6901 has indexes.
        guard let text = String(validating: name, as: UTF8.self), let index = Int(text), String(index) == text,
            elements.indices.contains(index)
        else { return nil }
        return elements[index]
    default: return nil
    }
}

/// Without the escapes `~1` and `~0`, from left to right.
private func plain(_ part: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    var index = 0
    while index < part.count {
        let next = index + 1 < part.count ? part[index + 1] : 0
        if part[index] == 0x7e, next == 0x30 || next == 0x31 {
            bytes.append(next == 0x31 ? 0x2f : 0x7e)
            index += 2
        } else {
            bytes.append(part[index])
            index += 1
        }
    }
    return bytes
}
