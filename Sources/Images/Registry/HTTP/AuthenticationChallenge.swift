/// One way in which a server says it may be convinced. The header is foreign.
///
/// Source: RFC 9110 §11.6.1 (`WWW-Authenticate`), RFC 6750 §3; distribution, "Token Authentication Specification".
struct AuthenticationChallenge: Equatable {
    /// In lower case: `bearer`, `basic`.
    let scheme: String
    /// The names in lower case.
    var parameters: [String: String] = [:]

    static let maximumBytes = 16 << 10
    private static let maximumChallenges = 16
    private static let maximumParameters = 32

    /// The challenges of a header, up to where it stops making sense.
    static func parse(_ header: String) -> [AuthenticationChallenge] {
        guard header.utf8.count <= maximumBytes else { return [] }
        var reader = Reader(bytes: Array(header.utf8))
        var found: [AuthenticationChallenge] = []
        while true {
            reader.skip { $0 == 0x20 || $0 == 0x09 || $0 == 0x2c }
            guard let name = reader.token() else { return found }
            let afterName = reader.position
            reader.skip { $0 == 0x20 || $0 == 0x09 }
            if reader.take(0x3d), !found.isEmpty {
                guard let value = reader.value() else { return found }
                let last = found.count - 1
                if found[last].parameters.count < maximumParameters, found[last].parameters[name.lowercased()] == nil {
                    found[last].parameters[name.lowercased()] = value
                }
            } else {
                guard found.count < maximumChallenges else { return found }
                found.append(AuthenticationChallenge(scheme: name.lowercased()))
                reader.position = afterName
                reader.skipToken68()
            }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func skip(_ isSkipped: (UInt8) -> Bool) {
            while position < bytes.count, isSkipped(bytes[position]) { position += 1 }
        }

        mutating func take(_ byte: UInt8) -> Bool {
            guard position < bytes.count, bytes[position] == byte else { return false }
            position += 1
            return true
        }

        /// Nil where none begins.
        mutating func token() -> String? {
            let start = position
            skip(Self.isTokenByte)
            return start == position ? nil : String(decoding: bytes[start..<position], as: UTF8.self)
        }

        /// A token or a quoted text; nil where neither is.
        mutating func value() -> String? {
            skip { $0 == 0x20 || $0 == 0x09 }
            guard take(0x22) else { return token() }
            var value: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if byte == 0x22 { return String(decoding: value, as: UTF8.self) }
                if byte == 0x5c {
                    guard position < bytes.count else { return nil }
                    value.append(bytes[position])
                    position += 1
                } else {
                    value.append(byte)
                }
            }
            return nil
        }

        /// Passes over what other schemes put in the place of parameters: `Negotiate YII=`.
        mutating func skipToken68() {
            let start = position
            skip { $0 == 0x20 || $0 == 0x09 }
            let first = position
            skip { Self.isTokenByte($0) || $0 == 0x2f }
            guard position > first else { return position = start }
            skip { $0 == 0x3d }
            skip { $0 == 0x20 || $0 == 0x09 }
            // Something else follows a parameter's name and sign.
            if position < bytes.count, bytes[position] != 0x2c { position = start }
        }

        /// Source: RFC 9110 §5.6.2.
        private static func isTokenByte(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
