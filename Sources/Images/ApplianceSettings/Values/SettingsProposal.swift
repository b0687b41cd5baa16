/// Changes that a guest asks for: `Documentation/settings.md`.
///
/// Trust: none in the bytes, which a guest writes. What is accepted here is text that names fields; whether there are such fields,
/// and whether they take these values, is the schema's to say.
public enum SettingsProposal {
    public static let maximumBytes = 64 << 10
    public static let maximumChanges = 1024

    /// One change in a line, `field=value` as `settings set` takes it, or `-field` to unset one; empty lines and those that begin
    /// with `#` mean nothing. The last line may lack its end.
    public static func changes(_ bytes: [UInt8]) throws(SettingsError) -> [SettingsChange] {
        guard bytes.count <= maximumBytes else {
            throw SettingsError(.invalidText, "what was proposed is longer than \(maximumBytes) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsError(.invalidText, "what was proposed is not UTF-8")
        }
        var changes: [SettingsChange] = []
        // By scalars: a carriage return before a line's end belongs to the value, and is refused with it.
        for (index, line) in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = String(String.UnicodeScalarView(line))
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard changes.count < maximumChanges else {
                throw SettingsError(.refused, "line \(index + 1): more than \(maximumChanges) changes at once")
            }
            if line.hasPrefix("-") {
                changes.append(try SettingsChange(String(line.dropFirst()), nil))
                continue
            }
            guard let equals = line.firstIndex(of: "=") else {
                throw SettingsError(
                    .refused, "line \(index + 1) has no value; write field=value, or -field to unset one")
            }
            changes.append(try SettingsChange(String(line[..<equals]), String(line[line.index(after: equals)...])))
        }
        return changes
    }
}
