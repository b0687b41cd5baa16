import Netlink

/// A datagram of the kernel's network: messages, their attributes, and attributes in these. Whatever the bytes are, it comes to an end, and
/// what is read lies in what was given.
public func fuzzNetlink(_ input: [UInt8]) {
    var messages = NetlinkMessages(input)
    var messageBytes = 0
    while let message = try? messages.next() {
        messageBytes += 16 + message.body.count
        _ = try? message.number(at: Int(message.type))
        for headerBytes in [0, 8, 16, 20] {
            if let attributes = try? message.attributes(after: headerBytes) { read(attributes, depth: 0) }
        }
    }
    precondition(messageBytes <= input.count, "messages lie in the datagram")
}

private func read(_ attributes: NetlinkAttributes, depth: Int) {
    var attributes = attributes
    while let attribute = try? attributes.next() {
        precondition(attribute.text.count <= attribute.value.count, "text lies in its attribute")
        for offset in [0, 8, 20, -1, .max] {
            precondition(offset == 0 || attribute.value.count >= 4 || attribute.number(at: offset) == nil, "numbers do")
        }
        if depth < 4 { read(attribute.attributes, depth: depth + 1) }
    }
}
