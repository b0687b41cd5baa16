public import AgentProtocol
public import FabricProtocol

/// Source: RFC 1035 §4.1, RFC 3596 §2.1.
extension NameQuestion {
    /// What a second word of the message says: a question that whoever is asked may ask on.
    static let flags: UInt16 = 0x0100
    static let addressType: UInt16 = 1, longAddressType: UInt16 = 28

    /// Identifier, flags, four counts (2 bytes each), the name, its type and its class.
    public func message(identifier: UInt16) -> [UInt8] {
        func bytes(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] }
        var message = bytes(identifier) + bytes(Self.flags) + [0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.utf8.split(separator: UInt8(ascii: ".")) {
            message.append(UInt8(label.count))
            message += label
        }
        return message + [0] + bytes(isVersion6 ? Self.longAddressType : Self.addressType) + [0, 1]
    }
}

/// What was answered to a question for a name.
public struct NameAnswer: Equatable, Sendable {
    /// 0; 2: it cannot be had now; 3: there is no such name; 5: whoever is asked does not tell.
    public var code: UInt8
    /// In the order in which they stand there; those of names that the name stands for, too.
    public var addresses: [IPAddress] = []

    /// Nil for what is no answer. One that is cut off says what is there of it.
    ///
    /// Trust: anybody's bytes.
    public init?(_ message: ArraySlice<UInt8>) {
        func half(_ place: Int) -> Int? {
            guard place >= 0, place + 1 < message.count else { return nil }
            return Int(message[message.startIndex + place]) << 8 | Int(message[message.startIndex + place + 1])
        }
        guard let flags = half(2), flags & 0x8000 != 0, let questions = half(4), let answers = half(6) else {
            return nil
        }
        code = UInt8(flags & 0x0f)
        var place = 12
        /// Behind a name: labels up to an empty one, or up to where it goes on elsewhere.
        func passName() -> Bool {
            while place < message.count {
                let length = Int(message[message.startIndex + place])
                if length & 0xc0 != 0 {
                    place += 2
                    return true
                }
                place += 1 + length
                if length == 0 { return true }
            }
            return false
        }
        for _ in 0..<questions {
            guard passName() else { return }
            place += 4
        }
        for _ in 0..<answers {
            // Type, class, how long it is true (4 bytes), length.
            guard passName(), let type = half(place), let length = half(place + 8) else { return }
            place += 10
            guard place + length <= message.count else { return }
            let isAddress =
                type == NameQuestion.addressType && length == 4 || type == NameQuestion.longAddressType && length == 16
            if isAddress, let address = IPAddress(networkOrder: Array(message.dropFirst(place).prefix(length))) {
                addresses.append(address)
            }
            place += length
        }
    }
}
