import SettingsFloppy

/// Where a field is: names of fields, and numbers of list elements, from 0.
public struct FieldPath: Hashable, Sendable, CustomStringConvertible {
    public private(set) var parts: [String]

    public init(_ parts: [String] = []) { self.parts = parts }

    /// Nil for what no field can be called.
    public init?(_ text: String) {
        guard SettingsLines.isPath(Array(text.utf8)) else { return nil }
        parts = text.split(separator: ".").map(String.init)
    }

    public var isEmpty: Bool { parts.isEmpty }
    public var description: String { parts.joined(separator: ".") }

    public func appending(_ part: String) -> FieldPath { FieldPath(parts + [part]) }
    func appending(_ index: Int) -> FieldPath { appending("\(index)") }
}
