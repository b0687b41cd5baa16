import AgentProtocol

/// A volume's place in a machine.
public struct VolumeAttachment: Codable, Equatable, Sendable {
    public var name: String
    /// In the guest.
    public var target: String
    public var isReadOnly: Bool
    /// The volume's disk; known once the volume has been looked up.
    public var diskPath = ""

    /// Reads `NAME:/path`, `NAME:/path:ro` and `NAME:/path:rw`.
    public init(parsing text: String) throws(VolumeError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts.count == 2 || parts[2] == "ro" || parts[2] == "rw" else {
            throw VolumeError(
                .invalidSetting,
                "\"\(text)\" is no volume; write NAME:/path or FOLDER:/path, with :ro to read only (-v)")
        }
        name = parts[0]
        try VolumeStore.check(name: name)
        do throws(FleetError) { target = try GuestPath.checked(parts[1], "-v") } catch {
            throw VolumeError(.invalidSetting, error.message)
        }
        isReadOnly = parts.count == 3 && parts[2] == "ro"
    }
}
