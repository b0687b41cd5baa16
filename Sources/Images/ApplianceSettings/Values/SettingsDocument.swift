import WireFormats

/// Settings as people write them: JSON, in which a line that begins with `//` says nothing.
///
/// A text in JSON never goes over a line's end, so that no such line lies within one. Why JSON: design/0040.
public enum SettingsDocument {
    public static func parse(_ bytes: [UInt8]) throws(SettingsError) -> SettingsValue {
        guard case .group(let members) = try value(bytes) else {
            throw SettingsError(.invalidText, "settings are an object, { … }, at their top")
        }
        return .group(members)
    }

    /// Any value, as `settings set` takes it for lists and groups.
    static func value(_ bytes: [UInt8]) throws(SettingsError) -> SettingsValue {
        let json: JSONValue
        do throws(JSONError) { json = try JSONParser.parse(withoutComments(bytes)) } catch {
            throw SettingsError(.invalidText, "this is not JSON: \(error)")
        }
        guard let value = SettingsValue(json) else {
            throw SettingsError(
                .invalidText, "settings hold neither null nor numbers with a fraction; leave a field out to unset it")
        }
        return value
    }

    /// Comments become empty lines, so that lines keep their numbers.
    private static func withoutComments(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count <= JSONParser.maximumBytes else { return bytes }
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return Array(
            lines.map { line in
                line.drop { $0 == 0x20 || $0 == 0x09 }.starts(with: "//".utf8) ? [] : line
            }.joined(separator: [UInt8(ascii: "\n")]))
    }
}
